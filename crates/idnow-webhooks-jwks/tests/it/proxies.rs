//! Proxies come from the environment, which only a process of its own can have set for a test.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::{env, thread};

use idnow_webhooks_jwks::{ConfigError, JwksError, JwksSource, Location};
use rcgen::{CertificateParams, KeyPair};

const URL: &str = "IDNOW_TEST_URL";
const PROXY_VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: &str = "IDNOW_TEST_NO_PROXY";

/// Runs in the child process. What matters is where it connects to.
#[tokio::test]
#[ignore = "run by the tests below, in a process of its own"]
async fn child() {
    let key = KeyPair::generate().unwrap();
    let root = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let mut builder =
        JwksSource::builder(Location::url(env::var(URL).unwrap())).root_certificates_pem(root.pem());
    if env::var_os(NO_PROXY).is_some() {
        builder = builder.no_proxy();
    }
    let error = builder.connect().await.unwrap_err();
    assert!(error.to_string().contains("the first fetch of the keys failed"), "{error}");
}

/// What a proxy is asked for when the keys are at this URL.
fn asked_of_proxy(url: &str, no_proxy: bool) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 1024];
            let count = stream.read(&mut bytes).unwrap_or_default();
            let head = String::from_utf8_lossy(&bytes[..count]).into_owned();
            seen.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
            let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "proxies::child", "--ignored"]).env(URL, url);
    for name in PROXY_VARIABLES {
        command.env(name, &proxy);
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    if no_proxy {
        command.env(NO_PROXY, "1");
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    asked.lock().unwrap().clone()
}

/// Runs in the child process. Nothing may be connected to.
#[tokio::test]
#[ignore = "run by the tests below, in a process of its own"]
async fn refused_child() {
    let key = KeyPair::generate().unwrap();
    let root = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let builder =
        || JwksSource::builder(Location::url("https://127.0.0.1:1/")).root_certificates_pem(root.pem());
    let error = builder().start().unwrap_err();
    println!("refused: {error}");
    assert!(matches!(error, ConfigError::InvalidProxy { .. }), "{error}");
    assert!(matches!(builder().connect().await, Err(JwksError::Config(ConfigError::InvalidProxy { .. }))));
    assert!(builder().no_proxy().start().is_ok(), "it is not used");
    assert!(JwksSource::builder(Location::url("http://127.0.0.1:1/")).start().is_ok(), "nor here");
    assert!(JwksSource::builder(Location::file("keys.json")).start().is_ok(), "nor here");
}

#[test]
fn a_proxy_that_is_no_url_is_refused_at_the_start() {
    for (variable, value) in [
        ("HTTPS_PROXY", "hunter2 hunter2"),
        ("https_proxy", "\"http://user:hunter2@proxy:3128\""),
        ("ALL_PROXY", "socks5://user:hunter2@proxy"),
        ("all_proxy", "hunter2"),
    ] {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "proxies::refused_child", "--ignored", "--nocapture"]);
        for name in PROXY_VARIABLES {
            command.env_remove(name);
        }
        let output = command.env(variable, value).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{variable}: {text}");
        assert!(text.contains(&format!("refused: {variable} (value not shown) is ")), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn https_honours_the_environment_unless_told_otherwise() {
    let address = format!("127.0.0.1:{}", closed_port());
    let url = format!("https://{address}/jwks");
    assert_eq!(asked_of_proxy(&url, false), [format!("CONNECT {address} HTTP/1.1")]);
    assert!(asked_of_proxy(&url, true).is_empty());
}

#[test]
fn plain_http_to_this_machine_never_uses_a_proxy() {
    let url = format!("http://localhost:{}/jwks", closed_port());
    assert!(asked_of_proxy(&url, false).is_empty());
}
