//! Proxies come from the environment, which only a process of its own can have set for a test.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::{env, thread};

use idnow_webhooks_jwks::{JwksSource, Location};
use rcgen::{CertificateParams, KeyPair};

const URL: &str = "IDNOW_TEST_URL";
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
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
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
