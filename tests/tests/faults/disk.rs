//! Full disks: small file systems, which only a process of their own sees.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use idnow_webhooks_core::store::EventState;
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_testkit::SampleEvent;
use tokio::process::Command;

use crate::child::{ARGUMENTS, arguments};
use crate::row::{NotHere, Observed};
use crate::world::{Setup, World};

const OBSERVED: &str = "observed ";

/// As somebody who may mount: root, of a namespace of its own if need be.
const NAMESPACE: [&str; 3] = ["--user", "--map-root-user", "--mount"];
const SQLITE: &str = r#"
mount -t tmpfs -o size=2m tmpfs "$FOLDER"
exec "$PROGRAM" --exact --ignored --nocapture process"#;
/// Its server runs as another user than root, and so must not see itself as root either.
const POSTGRES: &str = r#"
mount -t tmpfs -o size=160m,mode=1777 tmpfs "$FOLDER"
export TMPDIR="$FOLDER"
[ "$ROOT" = yes ] || set -- unshare --user --map-user=1000 --map-group=1000
exec "$@" "$PROGRAM" --exact --ignored --nocapture process"#;

pub(crate) async fn sqlite() -> Result<Observed, NotHere> {
    full("sqlite", SQLITE, &NAMESPACE).await
}

pub(crate) async fn postgres() -> Result<Observed, NotHere> {
    full("postgres", POSTGRES, if is_root().await { &NAMESPACE[2..] } else { &NAMESPACE }).await
}

async fn full(store: &str, script: &str, namespace: &[&str]) -> Result<Observed, NotHere> {
    let allowed = Command::new("unshare").args(namespace).arg("true").status().await;
    if !allowed.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "namespaces are needed for this test");
        return Err(NotHere("file systems cannot be mounted"));
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-ec", script, "sh"])
        .env("PROGRAM", std::env::current_exe().unwrap())
        .env("FOLDER", folder.path())
        .env("ROOT", if is_root().await { "yes" } else { "no" })
        .env(ARGUMENTS, arguments(&["disk", folder.path().to_str().unwrap(), store]))
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let observed = said.lines().find_map(|line| line.strip_prefix(OBSERVED));
    let Some(observed) = observed.filter(|_| output.status.success()) else {
        panic!("{said}{}", String::from_utf8_lossy(&output.stderr));
    };
    let [answered, left, again, ends] = serde_json::from_str(observed).unwrap();
    Ok(Observed { answered, left, again, ends })
}

async fn is_root() -> bool {
    Command::new("id").arg("-u").output().await.unwrap().stdout == b"0\n"
}

/// Delivers events until there is no room, makes room, and says what was observed of the first that was refused.
pub(crate) async fn fill(folder: &Path, store: &str) {
    let server = if store == "postgres" { Some(PrivatePostgres::start().await.unwrap()) } else { None };
    let postgres = match &server {
        Some(server) => Some(server.create_database().await.unwrap()),
        None => None,
    };
    let setup = Setup { folder: Some(folder.to_owned()), postgres, ..Setup::default() };
    let world = World::start(setup).await;
    let ballast = folder.join("ballast");
    let mut file = OpenOptions::new().create(true).append(true).open(&ballast).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    // There is room in the pages that the store has already.
    let mut accepted = Vec::new();
    let (event, answered) = loop {
        let event = SampleEvent::completed();
        let answered = world.deliver(&event).await;
        if answered != "200" {
            break (event, answered);
        }
        accepted.push(event);
        assert!(accepted.len() < 5000, "the disk is full");
    };
    assert_eq!(world.deliver(&event).await, answered, "it stays so");
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    let left = world.finished(&event).await;
    let again = world.deliver_again(&event).await;
    let ends = world.finished(&event).await;
    for event in &accepted {
        let state = world.reached(event, EventState::Completed, 1).await;
        assert_eq!(state, "completed; ran once", "an event that was answered 200");
    }
    println!("\n{OBSERVED}{}", arguments(&[&answered, &left, &again, &ends]));
}
