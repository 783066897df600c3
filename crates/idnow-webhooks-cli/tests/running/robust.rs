//! Peers and readers that do not do their part.

use std::fs::File;
use std::io::pipe;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use idnow_webhooks_testkit::SampleEvent;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::listen::{AUDIENCE, client, provider};
use super::process::{Running, command};

/// The time-out of `listen` is 10 s; a connection that was not accepted at once waits for another to end first.
const CLOSED_WITHIN: Duration = Duration::from_secs(25);

fn address(url: &str) -> String {
    url.split('/').nth(2).unwrap().to_owned()
}

/// More silent connections than the command may have files open.
#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_no_delivery_out_for_long() {
    let (keys, provider) = provider();
    let mut shell = Command::new("/bin/sh");
    shell.env_clear().env("IDNOW_ISSUER", keys.issuer()).env("IDNOW_AUDIENCE", AUDIENCE);
    shell.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_idnow-webhooks")]);
    let mut listener = Running::start(shell.args(["listen", "--listen", "127.0.0.1:0", "--json"]));
    let url = listener.json()["url"].as_str().unwrap().to_owned();
    let event = SampleEvent::completed();
    let client = client();
    let deliver = async || {
        let request = client.post(&url).body(provider.token(&event)).timeout(Duration::from_secs(10));
        request.send().await.map_or(0, |answer| answer.status().as_u16())
    };
    while deliver().await != 200 {}

    let beginnings: [&[u8]; 3] = [b"", b"POST / HTTP/1.1\r\nhost: x\r\n", b"PRI * HTTP"];
    let mut silent = Vec::new();
    for sent in beginnings.iter().cycle().take(100) {
        let mut connection = TcpStream::connect(address(&url)).await.unwrap();
        connection.write_all(sent).await.unwrap();
        silent.push(connection);
    }
    let began = Instant::now();
    while deliver().await != 200 {
        assert!(began.elapsed() < CLOSED_WITHIN);
    }
    for mut connection in silent {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(CLOSED_WITHIN, connection.read_to_end(&mut answer)).await;
        ended.expect("it is closed").ok();
        assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    }
    let ended = listener.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("Too many open files"), "{ended:?}");
}

/// 64 KiB of log fill a pipe.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_or_that_cannot_be_written_holds_up_nothing() {
    let (_unread, writer) = pipe().unwrap();
    let broken: Stdio = pipe().unwrap().1.into();
    let full: Stdio = File::options().write(true).open("/dev/full").unwrap().into();
    for stderr in [writer.into(), broken, full] {
        let mut sandbox = command(&["sandbox", "--in-memory", "--listen", "127.0.0.1:0", "--json"]);
        sandbox.env("RUST_LOG", "trace").stdout(Stdio::piped()).stderr(stderr);
        let mut sandbox = Running::of(sandbox.spawn().unwrap());
        let url = sandbox.json()["url"].as_str().unwrap().to_owned();
        for _ in 0..600 {
            // Each on a connection of its own, which is logged.
            let answer = client().get(format!("{url}/health")).timeout(Duration::from_secs(10)).send().await;
            assert_eq!(answer.unwrap().status(), 200);
        }
        let ended = sandbox.stop();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}
