//! A sandbox that is not on this machine, as in a network of containers. Its name here is 0.0.0.0, which is no loopback
//! address, although it leads to this machine.

use std::net::{SocketAddr, TcpListener};

use idnow_webhooks_sandbox::model::{Answer, EventKind};
use idnow_webhooks_sandbox::{Sandbox, Trigger};

use super::listen::{AUDIENCE, provider};
use super::process::{Running, command, run};

const TOKEN: &str = "a-token-of-the-tests";

/// Gives where others reach it, too.
async fn sandbox() -> (Sandbox, String) {
    let everywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let address = TcpListener::bind(everywhere).unwrap().local_addr().unwrap();
    let base = format!("http://{address}");
    let sandbox = Sandbox::builder().listen(address).base_url(&base).access_token(TOKEN).start().await;
    (sandbox.unwrap(), base)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_believed_without_tls_only_when_that_is_asked_for() {
    let (sandbox, base) = sandbox().await;
    let listen = ["listen", "--listen", "127.0.0.1:0", "--json", "--sandbox", &base];
    let error = run(&listen).failed(2);
    assert!(error.contains("--sandbox http://0.0.0.0:") && error.contains("--allow-plain-http"), "{error}");

    let mut listener = Running::start(command(&listen).arg("--allow-plain-http"));
    let said = listener.json();
    assert_eq!(said["issuer"], format!("{base}/oidc"));
    let url = said["url"].as_str().unwrap();
    let triggered = sandbox.trigger(Trigger::new(EventKind::Completed, url)).await.unwrap();
    assert!(matches!(triggered.answer, Answer::Status { code: 200, .. }), "{triggered:?}");
    let printed = listener.json();
    assert_eq!(
        (&printed["kind"], &printed["data"]["eventName"]),
        (&"event".into(), &"session.completed".into())
    );
    assert_eq!(listener.stop().code, Some(0));
    sandbox.stop().await;
}

/// Without --base-url it calls itself by an address of its own machine.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_know_how_others_reach_it_is_named() {
    let (keys, _) = provider();
    let here = format!("http://{}", keys.address());
    let elsewhere = here.replace("127.0.0.1", "0.0.0.0");
    let error =
        run(&["listen", "--listen", "127.0.0.1:0", "--sandbox", &elsewhere, "--allow-plain-http"]).failed(1);
    assert!(error.contains(&format!("its keys are at {here}/oidc")), "{error}");
    assert!(error.contains(&format!("start it with --base-url {elsewhere}")), "{error}");
}

#[test]
fn plain_http_is_about_a_sandbox() {
    let error = run(&["listen", "--allow-plain-http"]).failed(2);
    assert!(error.contains("--sandbox"), "{error}");
    // What the variables name is not touched by it.
    let mut command = command(&["listen", "--listen", "127.0.0.1:0"]);
    command.env("IDNOW_ISSUER", "http://0.0.0.0:1/oidc").env("IDNOW_AUDIENCE", AUDIENCE);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
