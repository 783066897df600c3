use std::net::TcpListener;
use std::path::Path;

use idnow_webhooks::sqlite::sqlx::{self, Connection as _};
use serde_json::{Value, json};

use super::listen::client;
use super::process::{Running, command, run};
use super::target::Target;

/// A sandbox in a process of its own. Prints JSON.
pub(crate) struct Sandbox {
    pub(crate) process: Running,
    pub(crate) said: Value,
    pub(crate) url: String,
}

impl Sandbox {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = command(&["sandbox", "--listen", "127.0.0.1:0", "--json"]);
        Self::of(command.args(arguments))
    }

    fn in_folder(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = command(&["sandbox", "--listen", "127.0.0.1:0", "--json"]);
        Self::of(command.args(arguments).current_dir(folder))
    }

    fn of(command: &mut std::process::Command) -> Self {
        let mut process = Running::start(command);
        let said = process.json();
        assert_eq!(said["kind"], "started");
        let url = said["url"].as_str().unwrap().to_owned();
        Self { process, said, url }
    }

    /// Posts to the management API, and gives what was made.
    async fn make(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/manage/v1/{path}", self.url);
        let request = client().post(url).header("content-type", "application/json").body(body.to_string());
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 201, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let response = client().get(format!("{}{path}", self.url)).send().await.unwrap();
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }
}

/// What is said at the start is all that a receiver needs: the one of `listen` here.
#[tokio::test(flavor = "multi_thread")]
async fn what_it_says_is_enough_to_receive_from_it() {
    let sandbox = Sandbox::start(&["--in-memory", "--time-scale", "100"]);
    assert_eq!(sandbox.said["issuer"], format!("{}/oidc", sandbox.url));
    assert_eq!(sandbox.said["jwksUrl"], format!("{}/oidc/.well-known/jwks.json", sandbox.url));
    assert_eq!((&sandbox.said["database"], &sandbox.said["needsToken"]), (&Value::Null, &json!(false)));
    let mut listening = command(&["listen", "--listen", "127.0.0.1:0", "--json", "--sandbox", &sandbox.url]);
    let mut listener = Running::start(&mut listening);
    let url = listener.json()["url"].clone();

    let flow = sandbox.make("flows", json!({ "name": "First steps" })).await["id"].clone();
    let endpoint = json!({ "flowId": flow, "environment": "staging", "url": url });
    sandbox.make("endpoints", endpoint).await;
    let scenario = json!({ "kind": "happy_path", "flowId": flow, "environment": "staging" });
    let session = sandbox.make("scenarios", scenario).await["sessions"][0].clone();
    let mut names: Vec<_> = (0..2)
        .map(|_| {
            let printed = listener.json();
            assert_eq!(
                (&printed["kind"], &printed["data"]["payload"]["sessionId"]),
                (&json!("event"), &session)
            );
            printed["data"]["eventName"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["session.completed", "session.created"]);

    // The client that it said may ask the session API.
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        sandbox.said["clientId"].as_str().unwrap(),
        sandbox.said["clientSecret"].as_str().unwrap(),
    );
    let request = client().post(format!("{}/oidc/token", sandbox.url));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(request.send().await.unwrap().status(), 200);

    let ended = sandbox.process.stop();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(ended.out.lines().last().unwrap(), r#"{"kind":"stopped"}"#);
}

/// The commands that it prints for people work, word for word.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_that_it_prints_work() {
    let target = Target::start().await;
    let mut sandbox = Running::start(&mut command(&["sandbox", "--listen", "127.0.0.1:0", "--in-memory"]));
    let url = sandbox.line().strip_prefix("sandbox on ").unwrap().to_owned();
    sandbox.until("Ctrl-C stops");
    let said = sandbox.out.clone();
    for expected in [
        "database       in memory: gone when it stops\n".to_owned(),
        format!("  export IDNOW_ISSUER={url}/oidc\n"),
        format!("  export IDNOW_JWKS_URL={url}/oidc/.well-known/jwks.json\n"),
        "  export IDNOW_AUDIENCE=http://127.0.0.1:3000/webhooks/idnow\n".to_owned(),
        format!("idnow-webhooks listen --sandbox {url}\n"),
        format!("  idnow-webhooks trigger session.completed --sandbox {url} --to http"),
    ] {
        assert!(said.contains(&expected), "{expected:?} in {said}");
    }
    let mut flow = String::new();
    for line in said.lines().filter(|line| line.trim_start().starts_with("curl ")) {
        let line =
            line.replace("FLOW_ID", &flow).replace("http://127.0.0.1:3000/webhooks/idnow", &target.url);
        let mut shell = std::process::Command::new("sh");
        let Ok(output) =
            shell.args(["-c", &format!("{line} --silent --show-error --fail --noproxy '*'")]).output()
        else {
            return;
        };
        if output.status.code() == Some(127) {
            return; // A machine without curl.
        }
        assert!(output.status.success(), "{line}: {output:?}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        if flow.is_empty() {
            flow = answer["id"].as_str().unwrap().to_owned();
        }
    }
    assert!(!flow.is_empty(), "{said}");
    target.arrived().await;
    sandbox.signal("TERM");
    let ended = sandbox.ended();
    assert!(ended.code == Some(0) && ended.err.is_empty() && ended.out.ends_with("\nstopped\n"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_in_a_file_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::in_folder(folder.path(), &[]);
    assert_eq!(sandbox.said["database"], "idnow-sandbox.db");
    let flow = sandbox.make("flows", json!({ "name": "First steps" })).await;
    let (secret, keys) =
        (sandbox.said["clientSecret"].clone(), sandbox.get("/oidc/.well-known/jwks.json").await);

    // Two at once would send everything twice.
    let mut second = command(&["sandbox", "--listen", "127.0.0.1:0"]);
    let output = second.current_dir(folder.path()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && error.contains("idnow-sandbox.db"), "{error}");
    assert!(output.stdout.is_empty() && error.contains("another"), "{error}");
    assert_eq!(sandbox.process.stop().code, Some(0));

    let other = folder.path().join("idnow-sandbox.db");
    let sandbox = Sandbox::start(&["--database", other.to_str().unwrap()]);
    assert_eq!(sandbox.get("/manage/v1/flows").await["items"], json!([flow]));
    assert_eq!(
        (&sandbox.said["clientSecret"], sandbox.get("/oidc/.well-known/jwks.json").await),
        (&secret, keys)
    );
    sandbox.process.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_and_a_foreign_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    Sandbox::in_folder(folder.path(), &[]).process.stop();
    let path = folder.path().join("idnow-sandbox.db");
    let database = ["--listen", "127.0.0.1:0", "--database", path.to_str().unwrap()];
    let mut file = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE name LIKE '%schema%' AND type = 'table'")
            .fetch_all(&mut file)
            .await
            .unwrap();
    assert_eq!(tables.len(), 1, "{tables:?}");
    sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE {} SET version = 99", tables[0])))
        .execute(&mut file)
        .await
        .unwrap();
    file.close().await.unwrap();
    let error = run(&[&["sandbox"][..], &database].concat()).failed(1);
    assert!(error.contains("99") && error.contains("newer"), "{error}");

    std::fs::write(&path, "not a database, but long enough to be looked at. ".repeat(100)).unwrap();
    let error = run(&[&["sandbox"][..], &database].concat()).failed(1);
    assert!(error.contains("idnow-sandbox.db"), "{error}");
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let memory = ["--listen", "127.0.0.1:0", "--in-memory"];
    let long = "x".repeat(2000);
    for (arguments, code, expected) in [
        (&["--in-memory", "--listen", &address][..], 1, &*address),
        (
            &[memory[0], memory[1], "--database", "/nonexistent/folder/x.db"],
            1,
            "--database: there is no folder",
        ),
        (
            &[memory[0], memory[1], memory[2], "--ca", "/nonexistent.pem"],
            1,
            "--ca: /nonexistent.pem: it cannot be read",
        ),
        (&[memory[0], memory[1], memory[2], "--ca", "/dev/null"], 1, "--ca: /dev/null: "),
        (&["--in-memory", "--database", "x.db"], 2, "cannot be used with"),
        (&["--public-only", "--allow-private"], 2, "cannot be used with"),
        (&[memory[0], memory[1], memory[2], "--time-scale", "0.5"], 2, "--time-scale: "),
        (&[memory[0], memory[1], memory[2], "--answer-deadline", "1h"], 2, "--answer-deadline: "),
        (&[memory[0], memory[1], memory[2], "--answer-deadline", "10"], 2, "time unit needed"),
        (&[memory[0], memory[1], memory[2], "--max-retries", "101"], 2, "--max-retries: "),
        (&[memory[0], memory[1], memory[2], "--keep-history", "0s"], 2, "--keep-history: "),
        (&[memory[0], memory[1], memory[2], "--issuer", "ftp://x"], 2, "--issuer: "),
        (&[memory[0], memory[1], memory[2], "--base-url", "x"], 2, "--base-url: "),
        (
            &[memory[0], memory[1], memory[2], "--access-token", "short"],
            2,
            "--access-token (or IDNOW_SANDBOX_ACCESS_TOKEN): ",
        ),
        (&[memory[0], memory[1], memory[2], "--client-id", "a"], 2, "--client-secret"),
        (
            &[memory[0], memory[1], memory[2], "--client-id", "a", "--client-secret", &long],
            2,
            "--client-id and --client-secret: ",
        ),
        (
            &["--in-memory", "--listen", "0.0.0.0:0"],
            2,
            "IDNOW_SANDBOX_ACCESS_TOKEN): it is needed to listen on",
        ),
    ] {
        let error = run(&[&["sandbox"], arguments].concat()).failed(code);
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert!(!error.contains(&long), "{error}");
    }
}

#[test]
fn a_wrong_rust_log_is_wrong_usage() {
    let arguments = ["sandbox", "--listen", "127.0.0.1:0", "--in-memory"];
    let output = command(&arguments).env("RUST_LOG", "warn,hyper=debgu").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{error}");
    assert!(error.contains("RUST_LOG: ") && error.contains("write it as warn,hyper=debug\n"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_is_asked_for_and_never_printed() {
    let token = "correct-horse-battery";
    let mut with_token = command(&["sandbox", "--listen", "0.0.0.0:0", "--in-memory", "--json"]);
    with_token.args(["--client-id", "shop", "--client-secret", "hunter2-hunter2"]);
    let sandbox = Sandbox::of(with_token.env("IDNOW_SANDBOX_ACCESS_TOKEN", token));
    assert_eq!(sandbox.said["needsToken"], true);
    assert_eq!((&sandbox.said["clientId"], &sandbox.said["clientSecret"]), (&json!("shop"), &Value::Null));
    let flows = || client().get(format!("{}/manage/v1/flows", sandbox.url));
    assert_eq!(flows().send().await.unwrap().status(), 401);
    assert_eq!(flows().bearer_auth(token).send().await.unwrap().status(), 200);

    let target = Target::start().await;
    let url = target.url.clone();
    let arguments = ["trigger", "session.created", "--to", &url, "--sandbox", &sandbox.url];
    let error = run(&arguments).failed(1);
    assert!(error.contains("asks for its access token"), "{error}");
    let output = command(&arguments).env("IDNOW_SANDBOX_ACCESS_TOKEN", token).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(target.got().len(), 1);

    let ended = sandbox.process.stop();
    for secret in [token, "hunter2-hunter2"] {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{ended:?}");
    }
}
