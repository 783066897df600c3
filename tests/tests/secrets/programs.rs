//! The command, as users run it, with every level of the log of every library; all that it prints is searched.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use idnow_webhooks_conformance::watch::assert_no_secret;

use crate::process::{Program, build, command, target_directory};
use crate::secret;

fn tool(arguments: &[&str], variables: &[(&'static str, String)]) -> Command {
    build();
    let mut tool = command(Program::Package("idnow-webhooks"), variables);
    tool.args(arguments).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "full");
    assert!(target_directory().join("idnow-webhooks").exists());
    tool
}

fn printed(mut tool: Command, code: i32) {
    let shown = format!("{:?}", tool.get_args().next());
    let output = tool.output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(code), "{shown}: {out} {err}");
    assert_no_secret(&shown, &out);
    assert_no_secret(&shown, &err);
}

#[tokio::test]
async fn the_sandbox_and_what_goes_with_it() {
    let variables =
        [("IDNOW_SANDBOX_ACCESS_TOKEN", secret("access")), ("IDNOW_SANDBOX_CLIENT_SECRET", secret("client"))];
    let arguments = ["sandbox", "--in-memory", "--listen", "127.0.0.1:0", "--client-id", "me", "--json"];
    let mut child =
        tool(&arguments, &variables).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Or its log would fill the pipe, and it would wait.
    let mut stderr = child.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).map(|_| log)
    });
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    stdout.read_line(&mut said).unwrap();
    let started: serde_json::Value = serde_json::from_str(&said).unwrap();
    let url = started["url"].as_str().unwrap().to_owned();

    let header = format!("X-Auth-Token: {}", secret("header"));
    let trigger = |url: &str, access: String, code| {
        let arguments = [
            "trigger",
            "session.completed",
            "--to",
            "http://127.0.0.1:1/",
            "--sandbox",
            url,
            "--header",
            &header,
            "--json",
        ];
        printed(tool(&arguments, &[("IDNOW_SANDBOX_ACCESS_TOKEN", access)]), code);
    };
    trigger(&url, secret("access"), 1);
    trigger(&url, secret("wrong"), 1);
    trigger("http://127.0.0.1:1", secret("access"), 1);
    let bad = [
        "trigger",
        "session.completed",
        "--to",
        "http://127.0.0.1:1/",
        "--sandbox",
        &url,
        "--header",
        &secret("none"),
    ];
    printed(tool(&bad, &variables), 2);
    printed(tool(&["health", &format!("http://user:{}@127.0.0.1:1/", secret("health"))], &[]), 1);

    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success() && child.wait().unwrap().success());
    stdout.read_to_string(&mut said).unwrap();
    let log = log.join().unwrap().unwrap();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "it is asked for everything: {log}");
    assert_no_secret("what the sandbox says", &said);
    assert_no_secret("the log of the sandbox", &log);
}

#[test]
fn commands_that_fail() {
    let store = format!("postgres://user:{}@127.0.0.1:1/events", secret("store"));
    printed(tool(&["inbox", "--store", &store, "stats"], &[]), 1);
    printed(tool(&["inbox", "stats"], &[("IDNOW_STORE", store)]), 1);
    let other = format!("mysql://user:{}@127.0.0.1/events", secret("store"));
    printed(tool(&["inbox", "--store", &other, "stats"], &[]), 2);
    let short =
        [("IDNOW_WEBHOOK_SECRET", "short-s3cret".to_owned()), ("IDNOW_AUDIENCE", "https://a".to_owned())];
    printed(tool(&["listen", "--listen", "127.0.0.1:0"], &short), 1);
    // It would end with 1 if it came as far as to the file.
    let mut log = tool(&["sandbox", "--database", "/nonexistent/sandbox.db"], &[]);
    log.env("RUST_LOG", "hyper=debgu");
    printed(log, 2);
    let token = [("IDNOW_SANDBOX_ACCESS_TOKEN", "a-s3cret".to_owned())];
    printed(tool(&["sandbox", "--in-memory", "--listen", "127.0.0.1:0"], &token), 2);
}
