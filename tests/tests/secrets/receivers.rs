//! The programs of `examples/`, with every level of the log of every library; all that they print is searched.

use std::process::ExitStatus;

use idnow_webhooks_conformance::watch::{assert_no_secret, plant};
use idnow_webhooks_conformance::{Client, Protocol, delivery};
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_testkit::{KeyServer, Provider, SampleEvent, SigningKey};

use crate::forwarder::Forwarder;
use crate::process::{Program, Running, fails, start};
use crate::secret;

type Variables = Vec<(&'static str, String)>;

/// A program, and who logs what it receives at DEBUG and TRACE.
struct Deployable {
    name: &'static str,
    servers: &'static [&'static str],
}

const DEPLOYABLE: [Deployable; 3] = [
    Deployable { name: "example-axum", servers: &[] },
    Deployable {
        name: "example-actix-web",
        servers: &["actix_server::worker", "actix_http::h1::dispatcher"],
    },
    Deployable { name: "example-warp", servers: &[] },
];

fn by_secret(key: &str) -> Provider {
    Provider::new().with_key(SigningKey::from_secret(idnow_webhooks::keys::Algorithm::Hs256, key))
}

fn common(issuer: &str) -> Variables {
    vec![
        ("IDNOW_ISSUER", issuer.to_owned()),
        ("IDNOW_AUDIENCE", Provider::AUDIENCE.to_owned()),
        ("IDNOW_REQUIRED_HEADERS", format!("X-Auth-Token: {}", secret("header"))),
        ("IDNOW_KEEP_EVIDENCE", "yes".to_owned()),
        ("RUST_LOG", "trace".to_owned()),
        ("RUST_BACKTRACE", "full".to_owned()),
    ]
}

fn by_shared_secret(folder: &tempfile::TempDir) -> Variables {
    let mut variables = common(Provider::ISSUER);
    variables.push(("IDNOW_WEBHOOK_SECRET", secret("shared")));
    variables.push(("IDNOW_STORE", format!("sqlite:{}", folder.path().join("events.db").display())));
    variables
}

/// The status; with this in the header that is required, and more of what nobody is to see.
async fn post(running: &Running, token: String, header: &str) -> u16 {
    let mut request = delivery(token);
    for (name, value) in [
        ("x-auth-token", header.to_owned()),
        ("authorization", format!("Basic {}", secret("basic"))),
        ("cookie", secret("cookie")),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    Client::connect(running.address(), Protocol::Http1).await.send(request).await.status
}

/// Whether this target has a record below INFO.
fn speaks(log: &str, target: &str) -> bool {
    log.lines().any(|line| {
        (line.contains("TRACE ") || line.contains("DEBUG ")) && line.contains(&format!(" {target}"))
    })
}

#[track_caller]
fn assert_told_all_but_secrets(name: &str, (status, log): (ExitStatus, String), targets: &[&str]) {
    assert!(status.success() && log.contains("delivery accepted"), "{name}: {log}");
    for target in targets {
        assert!(speaks(&log, target), "{name}: {target} has logged nothing, so nothing was searched: {log}");
    }
    assert_no_secret(name, &log);
}

/// `mio` logs through `log`, the others through `tracing`.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_shared_secret_and_a_file() {
    for Deployable { name, servers } in DEPLOYABLE {
        let folder = tempfile::tempdir().unwrap();
        let running = start(Program::Package(name), &by_shared_secret(&folder));
        for (key, header, status) in [
            (secret("shared"), secret("header"), 200),
            (secret("forger"), secret("header"), 503),
            (secret("shared"), secret("wrong"), 401),
        ] {
            let event = SampleEvent::completed().set("payload.note", secret("data"));
            let token = by_secret(&key).token(&event);
            assert_eq!(post(&running, token, &header).await, status, "{name}");
        }
        let targets = [&["mio::poll"], servers].concat();
        assert_told_all_but_secrets(name, running.terminate(), &targets);
    }
}

/// A key server that wants a password, behind a proxy that wants another, and a database with a third.
#[tokio::test(flavor = "multi_thread")]
async fn with_keys_behind_a_proxy_and_a_database() {
    let database = PrivatePostgres::start().await.unwrap();
    let keys = KeyServer::start_tls().unwrap();
    let provider = Provider::new().with_issuer(keys.issuer());
    keys.publish(&[provider.key()]);
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, keys.ca_pem().unwrap()).unwrap();
    for Deployable { name, .. } in DEPLOYABLE {
        let store = database.create_database().await.unwrap();
        store.split([':', '@']).nth(2).map(plant);
        let proxy = Forwarder::start("me", &secret("proxy")).await;
        let place = keys.jwks_url().replace("https://", &format!("https://user:{}@", secret("user")));
        let mut variables = common(keys.issuer());
        variables.extend([
            ("IDNOW_JWKS_URL", format!("{place}?key={}", secret("query"))),
            ("IDNOW_STORE", store),
            ("HTTPS_PROXY", proxy.url()),
            ("SSL_CERT_FILE", authority.to_str().unwrap().to_owned()),
        ]);
        let running = start(Program::Package(name), &variables);
        for (header, expected) in [(secret("header"), 200), (secret("wrong"), 401)] {
            let token = provider.token(&SampleEvent::completed().set("payload.note", secret("data")));
            let mut status = post(&running, token.clone(), &header).await;
            // The first keys may not be here yet.
            for _ in 0..200 {
                if status != 503 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                status = post(&running, token.clone(), &header).await;
            }
            assert_eq!(status, expected, "{name}");
        }
        assert!(proxy.forwarded() > 0, "{name}: the keys did not come through the proxy");
        let targets = ["mio::poll", "sqlx::query", "reqwest::connect", "hyper_util::client"];
        assert_told_all_but_secrets(name, running.terminate(), &targets);
    }
}

#[test]
fn that_cannot_start() {
    let postgres = format!("postgres://user:{}@127.0.0.1:1/events", secret("store"));
    for (name, value) in [
        ("IDNOW_STORE", postgres),
        // sqlx logs the value of a parameter that it does not know.
        ("IDNOW_STORE", format!("postgres://user@127.0.0.1:1/events?pasword={}", secret("store"))),
        ("IDNOW_STORE", format!("mysql://user:{}@127.0.0.1/events", secret("store"))),
        ("IDNOW_WEBHOOK_SECRET", "short-s3cret".to_owned()),
        ("IDNOW_REQUIRED_HEADERS", secret("no-colon")),
        ("IDNOW_REQUIRED_HEADERS", format!("X Y: {}", secret("header"))),
        ("IDNOW_JWKS_URL", format!("https://user:{}@keys.example/", secret("user"))),
    ] {
        for Deployable { name: program, .. } in DEPLOYABLE {
            let folder = tempfile::tempdir().unwrap();
            let mut variables = by_shared_secret(&folder);
            variables.push((name, value.clone()));
            let (status, log) = fails(Program::Package(program), &variables);
            assert!(!status.success() && !log.is_empty(), "{program}: {name}");
            assert_no_secret(program, &log);
        }
    }
}
