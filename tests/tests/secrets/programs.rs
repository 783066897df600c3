//! Real programs, as users run them, with every level of the log that they have; all that they print is searched.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use idnow_webhooks_conformance::watch::assert_no_secret;
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey};

use crate::process::{Program, build, command, fails, start, target_directory};
use crate::secret;

const DEPLOYABLE: [&str; 3] = ["example-axum", "example-actix-web", "example-warp"];

async fn post(url: &str, token: String, header: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = client.post(url).header("content-type", "application/jwt").header("x-auth-token", header);
    request.body(token).send().await.unwrap().status().as_u16()
}

fn by_shared_secret(folder: &tempfile::TempDir) -> Vec<(&'static str, String)> {
    vec![
        ("IDNOW_ISSUER", Provider::ISSUER.to_owned()),
        ("IDNOW_AUDIENCE", Provider::AUDIENCE.to_owned()),
        ("IDNOW_WEBHOOK_SECRET", secret("shared")),
        ("IDNOW_REQUIRED_HEADERS", format!("X-Auth-Token: {}", secret("header"))),
        ("IDNOW_STORE", format!("sqlite:{}", folder.path().join("events.db").display())),
        ("RUST_LOG", "trace".to_owned()),
        ("RUST_BACKTRACE", "full".to_owned()),
    ]
}

#[tokio::test]
async fn receivers() {
    for name in DEPLOYABLE {
        let folder = tempfile::tempdir().unwrap();
        let running = start(Program::Package(name), &by_shared_secret(&folder));
        let algorithm = idnow_webhooks::keys::Algorithm::Hs256;
        for (key, header, status) in [
            (secret("shared"), secret("header"), 200),
            (secret("forger"), secret("header"), 401),
            (secret("shared"), secret("wrong"), 401),
        ] {
            let provider = Provider::new().with_key(SigningKey::from_secret(algorithm, key));
            let event = SampleEvent::completed().set("payload.note", secret("data"));
            assert_eq!(post(&running.url, provider.token(&event), &header).await, status, "{name}");
        }
        let (status, log) = running.terminate();
        assert!(status.success() && log.contains("delivery accepted"), "{name}: {log}");
        assert_no_secret(name, &log);
    }
}

#[test]
fn receivers_that_cannot_start() {
    let postgres = format!("postgres://user:{}@127.0.0.1:1/events", secret("store"));
    for (name, value) in [
        ("IDNOW_STORE", postgres),
        ("IDNOW_STORE", format!("mysql://user:{}@127.0.0.1/events", secret("store"))),
        ("IDNOW_WEBHOOK_SECRET", "short-s3cret".to_owned()),
        ("IDNOW_REQUIRED_HEADERS", secret("no-colon")),
        ("IDNOW_REQUIRED_HEADERS", format!("X Y: {}", secret("header"))),
        ("IDNOW_JWKS_URL", format!("https://user:{}@keys.example/", secret("user"))),
    ] {
        for program in DEPLOYABLE {
            let folder = tempfile::tempdir().unwrap();
            let mut variables = by_shared_secret(&folder);
            variables.push((name, value.clone()));
            let (status, log) = fails(Program::Package(program), &variables);
            assert!(!status.success() && !log.is_empty(), "{program}: {name}");
            assert_no_secret(program, &log);
        }
    }
}

/// The command's own, with all that it prints.
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
    let token = [("IDNOW_SANDBOX_ACCESS_TOKEN", "a-s3cret".to_owned())];
    printed(tool(&["sandbox", "--in-memory", "--listen", "127.0.0.1:0"], &token), 2);
}
