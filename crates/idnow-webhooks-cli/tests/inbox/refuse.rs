use idnow_webhooks::postgres::sqlx::{self, Connection as _};
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_testkit::SampleEvent;

use super::{Inbox, Ran, command, run};

const COMMANDS: [&[&str]; 7] = [
    &["list"],
    &["show", "x"],
    &["retry", "x"],
    &["retry-dead"],
    &["purge", "--older-than", "1d", "--yes"],
    &["parked"],
    &["stats", "--json"],
];

#[test]
fn a_file_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.db");
    for arguments in COMMANDS {
        let error = run(&format!("sqlite:{}", path.display()), arguments).failed(1);
        assert!(error.contains("none.db") && error.contains("there is no file"), "{error}");
        assert!(error.contains("IDNOW_STORE"), "who named it: {error}");
    }
    // The default, in a folder without it.
    let mut command = command();
    let output = command.current_dir(folder.path()).arg("stats").output().unwrap();
    let error = Ran::of(output).failed(1);
    assert!(error.contains("idnow-webhooks.db") && error.contains("the default"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn what_is_no_database_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "not a database, but long enough to be looked at. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = run(&format!("sqlite:{}", path.display()), &["list"]).failed(1);
    assert!(error.contains("is no SQLite database"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it is as it was");
    let error = run(&format!("sqlite:{}", folder.path().display()), &["list"]).failed(1);
    assert!(error.contains("cannot open"), "{error}");
}

/// A path that was mistyped may lead to the database of another program.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_no_store_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let url = format!("sqlite:{}", path.display());
    let mut file = sqlx::SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    sqlx::query("CREATE TABLE customers (id INTEGER)").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    for arguments in COMMANDS {
        let error = run(&url, arguments).failed(1);
        assert!(error.contains("no store of idnow-webhooks"), "{error}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_database_that_is_no_store_is_refused_and_left_as_it_was() {
    let url = PrivatePostgres::shared().await.unwrap().create_database().await.unwrap();
    let mut database = sqlx::PgConnection::connect(&url).await.unwrap();
    for arguments in COMMANDS {
        let error = run(&url, arguments).failed(1);
        assert!(error.contains("none of the tables of a store") && error.contains("IDNOW_STORE"), "{error}");
    }
    let tables = "SELECT count(*) FROM pg_class WHERE relname LIKE 'idnow%'";
    assert_eq!(sqlx::query_scalar::<_, i64>(tables).fetch_one(&mut database).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused() {
    let inbox = Inbox::new().await;
    let url = format!("sqlite:{}", inbox.path().display());
    let mut file = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE idnow_webhooks_schema SET version = 99").execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    for arguments in COMMANDS {
        let error = inbox.run(arguments).failed(1);
        assert!(error.contains("version 99") && error.contains("newer version"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_not_there_is_an_error() {
    let inbox = Inbox::new().await;
    inbox.waiting(&SampleEvent::completed()).await;
    for arguments in [&["show", "nobody\u{9b}2J"][..], &["show", "--json", "nobody\u{9b}2J"]] {
        let error = inbox.run(arguments).failed(1);
        assert!(error.contains(r#"there is no event "nobody\u{9b}2J" in this store"#), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_has_its_own_code() {
    let inbox = Inbox::new().await;
    inbox.completed(&SampleEvent::completed()).await;
    for (arguments, expected) in [
        (&["purge", "--yes", "--older-than", "soon"][..], "invalid value 'soon'"),
        (&["purge", "--yes", "--older-than", "30"], "time unit needed"),
        (&["purge", "--yes"], "--older-than"),
        (
            &["purge", "--yes", "--older-than", "119m"],
            "at least 2h, not 1h 59m: the provider may send one again",
        ),
        (&["purge", "--older-than", "2h"], "add --yes"),
        (&["purge", "--older-than", "2h", "--dead"], "add --yes"),
        (&["list", "--state", "gone"], "possible values: waiting, running, completed, dead"),
        (&["list", "--limit", "0"], "1..=1000"),
        (&["list", "--limit", "1001"], "1..=1000"),
        (&["retry"], "EVENT_ID"),
    ] {
        let error = inbox.run(arguments).failed(2);
        assert!(
            error.contains(expected) && error.contains("--help") && !error.contains("-cli"),
            "{arguments:?}: {error}"
        );
    }
    let error = run("memory", &["list"]).failed(2);
    assert!(error.contains("IDNOW_STORE is \"memory\"") && error.contains("server's process"), "{error}");
    assert!(inbox.run(&["--store", "memory", "list"]).failed(2).contains("--store is \"memory\""));
    assert!(run("", &["list"]).failed(2).contains("IDNOW_STORE is set but empty"));
    assert_eq!(inbox.run(&["stats", "--json"]).json()["completed"], 1, "nothing was purged");
}

/// As the server does.
#[tokio::test]
async fn the_store_may_be_named_in_a_file() {
    let inbox = Inbox::new().await;
    inbox.waiting(&SampleEvent::completed()).await;
    let file = inbox.folder.path().join("store");
    std::fs::write(&file, format!("sqlite:{}\n", inbox.path().display())).unwrap();
    let named = |path: &std::path::Path| {
        Ran::of(command().env("IDNOW_STORE_FILE", path).args(["stats", "--json"]).output().unwrap())
    };
    assert_eq!(named(&file).json()["waiting"], 1);
    let error = named(&inbox.path()).failed(2);
    assert!(error.contains("is a SQLite database") && error.contains("set IDNOW_STORE=sqlite:"), "{error}");
}

#[test]
fn a_password_is_never_printed() {
    let password = "hunter2";
    for (store, code, expected) in [
        // A port on which nobody listens, one that is none, and a scheme of somebody else.
        ("postgres://shop:hunter2@127.0.0.1:1/shop", 1, "database shop on 127.0.0.1"),
        ("postgres://shop:hunter2@127.0.0.1:none/shop", 1, ""),
        ("postgres://127.0.0.1:1/shop?user=shop&password=hunter2&sslmode=perhaps", 1, ""),
        ("postgre://shop:hunter2@127.0.0.1/shop", 2, "IDNOW_STORE (value not shown): expected"),
    ] {
        for arguments in COMMANDS {
            let error = run(store, arguments).failed(code);
            assert!(error.contains(expected) && !error.contains(password), "{store}: {error}");
            assert!(error.len() > 40, "{error}");
        }
        let help = run(store, &["--help"]).done();
        assert!(!help.contains(password));
    }
}

#[test]
fn the_help_has_examples() {
    let help = run("sqlite:x.db", &["--help"]).done();
    assert!(help.contains("idnow-webhooks inbox list --state dead") && help.contains("Exit codes"), "{help}");
    for name in ["list", "show", "retry", "retry-dead", "purge", "parked", "stats"] {
        assert!(help.contains(&format!("\n  {name} ")), "{name} in {help}");
        assert!(run("sqlite:x.db", &[name, "--help"]).done().contains("Usage: idnow-webhooks inbox"));
    }
}
