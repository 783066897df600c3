//! What arrives at the sandbox's port, from who has no token, and what its forms and queries hold, from who has one.
//!
//! After `r` the rest is written to the connection as it is; after `q` it is the query of a list, after `b` the body of a
//! request for faults, after `t` the credentials of a request for a token, after `l` those of a form for signing in.

#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use idnow_webhooks_sandbox::model::{Header, NewEndpoint, NewFlow, PageRequest};
use idnow_webhooks_sandbox::{Client, Sandbox};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

const TOKEN: &str = "S3cretMark-token-of-management";
const CLIENT: &str = "S3cretMark-of-the-client";
const HEADER: &str = "S3cretMark-of-the-endpoint";
const MARK: &str = "S3cretMark";

struct Fixed {
    runtime: Runtime,
    sandbox: Sandbox,
    address: SocketAddr,
}

static FIXED: LazyLock<Fixed> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let sandbox = runtime.block_on(async {
        let builder = Sandbox::builder().access_token(TOKEN).client(Client::new("me", CLIENT));
        let sandbox = builder.start().await.expect("a sandbox");
        let flow = NewFlow { name: "flow".into(), session_ttl_seconds: 3600 };
        let flow = sandbox.create_flow(flow).await.expect("a flow").id;
        let mut endpoint = NewEndpoint::new(flow, "live", "http://127.0.0.1:1/");
        endpoint.headers = vec![Header { name: "X-Auth-Token".into(), value: HEADER.into() }];
        sandbox.create_endpoint(endpoint).await.expect("an endpoint");
        sandbox
    });
    let address = sandbox.base_url().trim_end_matches('/').rsplit('/').next().expect("a host");
    let address = address.parse().expect("an address");
    Fixed { runtime, sandbox, address }
});

/// All that comes back until the connection is closed, or nothing more comes.
async fn exchanged(address: SocketAddr, request: &[u8], patience: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    // Or so many connections would wait for their end that no port is left.
    stream.set_zero_linger().expect("a socket");
    let mut answer = Vec::new();
    let exchange = async {
        // It may close while it is written to.
        let _ = stream.write_all(request).await;
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..read]);
            assert!(answer.len() < 4 * 1024 * 1024, "an answer without an end");
        }
    };
    // A stream of changes does not end by itself, nor a body that is shorter than it says.
    let _ = tokio::time::timeout(patience, exchange).await;
    answer
}

fn request(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n",
        FIXED.address
    );
    [head.as_bytes(), body].concat()
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    if rest.windows(MARK.len()).any(|window| window == MARK.as_bytes()) {
        return;
    }
    let by_token = format!("Authorization: Bearer {TOKEN}\r\n");
    let message = match kind {
        // The second request has the first one's connection closed, unless it is a part of its body.
        b'r' => [rest, b"\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"].concat(),
        b'q' => {
            let Some((list, query)) = rest.split_first() else { return };
            if !query.iter().all(u8::is_ascii_graphic) || query.contains(&b'#') {
                return;
            }
            let lists = ["endpoints", "flows", "sessions", "events", "deliveries", "keys"];
            let list = lists[usize::from(*list) % lists.len()];
            let query = String::from_utf8_lossy(query);
            request(&format!("GET /manage/v1/{list}?{query}"), &by_token, b"")
        }
        b'b' => {
            request("PUT /manage/v1/chaos", &format!("{by_token}Content-Type: application/json\r\n"), rest)
        }
        b't' => {
            let (credentials, body) =
                rest.split_at(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
            let form = "Content-Type: application/x-www-form-urlencoded\r\n";
            let basic = format!("Authorization: Basic {}\r\n{form}", STANDARD.encode(credentials));
            request("POST /oidc/token", &basic, body.get(1..).unwrap_or_default())
        }
        b'l' => {
            let form = format!(
                "Origin: http://{}\r\nContent-Type: application/x-www-form-urlencoded\r\n",
                FIXED.address
            );
            request("POST /login", &form, rest)
        }
        _ => return,
    };
    FIXED.runtime.block_on(async {
        let patience = Duration::from_millis(if *kind == b'r' { 50 } else { 10_000 });
        let answer = exchanged(FIXED.address, &message, patience).await;
        assert!(!answer.windows(MARK.len()).any(|window| window == MARK.as_bytes()), "a secret came back");
        let status = status(&answer);
        assert!(
            status.is_none_or(|status| (100..500).contains(&status)),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        assert!(*kind == b'r' || status.is_some(), "no answer");
        assert!(
            !matches!(kind, b't' | b'l') || status != Some(200) || *kind == b'l',
            "nobody knows the secret"
        );
        // Without a token nothing changes.
        if *kind == b'r' && status.is_some_and(|status| status < 400) {
            let flows = FIXED.sandbox.flows(PageRequest::default()).await.expect("flows").items.len();
            let endpoints =
                FIXED.sandbox.endpoints(None, None, PageRequest::default()).await.expect("endpoints");
            assert_eq!((flows, endpoints.items.len()), (1, 1));
        }
    });
});
