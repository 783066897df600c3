use std::io::BufRead as _;
use std::net::TcpListener;

use idnow_webhooks::{Clock as _, SystemClock};
use idnow_webhooks_testkit::{FixedClock, KeyServer, Provider, SampleEvent, SigningKey};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::process::{Running, command, run};

pub(crate) const AUDIENCE: &str = "https://bank.example/webhooks/idnow";
const SESSION: &str = "6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11";

/// A listener, and the provider that it believes.
pub(crate) struct Setup {
    pub(crate) keys: KeyServer,
    pub(crate) provider: Provider,
    pub(crate) listener: Running,
    pub(crate) url: String,
}

impl Setup {
    /// It is configured by variables. Prints JSON.
    pub(crate) fn new(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let (keys, provider) = provider();
        let mut command = command(&["listen", "--listen", "127.0.0.1:0", "--json"]);
        command.args(arguments).env("IDNOW_ISSUER", keys.issuer()).env("IDNOW_AUDIENCE", AUDIENCE);
        command.envs(variables.iter().copied());
        let mut listener = Running::start(&mut command);
        let said = listener.json();
        assert_eq!(said["kind"], "listening");
        assert_eq!(said["issuer"], keys.issuer());
        let url = said["url"].as_str().unwrap().to_owned();
        Self { keys, provider, listener, url }
    }

    pub(crate) async fn deliver(&self, event: &SampleEvent) -> Response {
        post(&self.url, self.provider.token(event)).await
    }
}

pub(crate) fn provider() -> (KeyServer, Provider) {
    let keys = KeyServer::start().unwrap();
    let provider =
        Provider::new().with_key(SigningKey::shared()).with_issuer(keys.issuer()).with_audience(AUDIENCE);
    keys.publish(&[provider.key()]);
    (keys, provider)
}

pub(crate) fn client() -> Client {
    Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

pub(crate) async fn post(url: &str, token: String) -> Response {
    client().post(url).header("content-type", "application/jwt").body(token).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_printed_as_it_was_signed() {
    let mut setup = Setup::new(&[], &[]);
    // What is compared with is made later.
    setup.provider = setup.provider.clone().with_clock(FixedClock::at(SystemClock.now()));
    // What no handler knows is shown too, and what could move a terminal's cursor is escaped.
    let event = SampleEvent::completed().with_session_id(SESSION).set("payload.note", "\u{9b}2J\u{202e}\n");
    let response = setup.deliver(&event).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "");

    let line = setup.listener.line();
    assert!(line.contains(r"\u009b2J\u202e\n"), "{line}");
    let printed: Value = serde_json::from_str(&line).unwrap();
    let time = |value: &Value| value.as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let claims = setup.provider.claims(&event);
    assert_eq!(time(&printed["token"]["issuedAt"]).timestamp(), claims["iat"].as_i64().unwrap());
    assert_eq!(time(&printed["token"]["expiresAt"]).timestamp(), claims["exp"].as_i64().unwrap());
    time(&printed["at"]);
    // Programs of others read this: members may be added, but not changed.
    assert_eq!(
        printed,
        json!({
            "kind": "event",
            "at": printed["at"],
            "status": 200,
            "data": event.data(),
            "token": {
                "issuer": setup.keys.issuer(),
                "subject": event.event_id(),
                "issuedAt": printed["token"]["issuedAt"],
                "expiresAt": printed["token"]["expiresAt"],
                "keyId": setup.provider.key().key_id(),
                "algorithm": "RS256",
            },
        })
    );

    // A token whose `data` has several lines is one line all the same.
    let mut claims = setup.provider.claims(&event);
    claims["data"] = json!(null);
    let data = serde_json::to_string_pretty(&event.data()).unwrap().replace('\n', "\r\n\t");
    let claims = claims.to_string().replace(r#""data":null"#, &format!(r#""data":{data}"#));
    let header = json!({ "alg": "RS256", "kid": setup.provider.key().key_id() }).to_string();
    let token = setup.provider.key().sign_raw(header.as_bytes(), claims.as_bytes());
    assert_eq!(post(&setup.url, token).await.status(), 200);
    assert_eq!(setup.listener.json()["data"], event.data());

    let ended = setup.listener.stop();
    assert_eq!(ended.out.lines().last().unwrap(), r#"{"kind":"stopped","events":2,"refused":0}"#);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_it_laid_out() {
    let (keys, provider) = provider();
    let mut command = command(&["listen", "--listen", "127.0.0.1:0"]);
    let mut listener =
        Running::start(command.env("IDNOW_ISSUER", keys.issuer()).env("IDNOW_AUDIENCE", AUDIENCE));
    let url = listener.line().strip_prefix("listening on ").unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/webhooks/idnow"), "{url}");
    listener.until("Ctrl-C stops");
    let event = SampleEvent::completed().with_session_id(SESSION).with_sequence(7).with_attempt(3);
    assert_eq!(post(&url, provider.token(&event)).await.status(), 200);
    let line = listener.line();
    assert!(
        line.starts_with("✓ ") && line.ends_with("  session.completed  COMPLETED  no. 7, attempt 3  200"),
        "{line}"
    );
    assert_eq!(post(&url, "a.b.c".to_owned()).await.status(), 400);
    listener.until("✗ ");
    let ended = listener.stop();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let document = &ended.out[ended.out.find('{').unwrap()..=ended.out.find("\n}").unwrap() + 1];
    assert_eq!(serde_json::from_str::<Value>(document).unwrap(), event.data());
    assert!(ended.out.contains("refused: 400 malformed_token  "), "{}", ended.out);
    assert!(ended.out.ends_with("\nstopped: 1 event verified; 1 refused\n"), "{}", ended.out);
    assert!(!ended.out.contains('\u{1b}'), "no colours into a pipe: {}", ended.out);
}

/// The key server has the paths of a sandbox, and the listener needs no more of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_is_believed_without_configuration() {
    let (keys, provider) = provider();
    let sandbox = format!("http://{}/", keys.address());
    let mut command =
        command(&["listen", "--json", "--listen", "127.0.0.1:0", "--path", "/h", "--sandbox", &sandbox]);
    // What the sandbox takes the place of may be set, even wrongly; an audience is added.
    command.envs([
        ("IDNOW_ENVIRONMENT", "production"),
        ("IDNOW_ISSUER", "https://elsewhere.example"),
        ("IDNOW_JWKS_FILE", "/nonexistent"),
        ("IDNOW_WEBHOOK_SECRET_FILE", "/nonexistent"),
        ("IDNOW_ALGORITHMS", "HS256"),
        ("IDNOW_AUDIENCE", "https://tunnel.example/h"),
        ("LISTEN", "nowhere"),
        ("WEBHOOK_PATH", "nowhere"),
    ]);
    let mut listener = Running::start(&mut command);
    let said = listener.json();
    let url = said["url"].as_str().unwrap().to_owned();
    let other = url.replace("127.0.0.1", "localhost");
    for audience in [url.as_str(), &other, &url.replace("127.0.0.1", "[::1]"), "https://tunnel.example/h"] {
        let token = provider.clone().with_audience(audience).token(&SampleEvent::created());
        assert_eq!(post(&url, token).await.status(), 200, "{audience}");
        assert_eq!(listener.json()["kind"], "event");
    }
    let token = provider.clone().with_audience("https://elsewhere.example/h").token(&SampleEvent::created());
    assert_eq!(post(&url, token).await.status(), 503);
    let refused = listener.json();
    assert_eq!(refused["code"], "wrong_audience");
    assert!(refused["reason"].as_str().unwrap().contains(&url), "what was expected is told: {refused}");

    // A key that the sandbox makes is believed at once, not only after the usual ten seconds.
    let next = SigningKey::shared_other();
    let token = provider.clone().with_audience(&url).with_key(next.clone()).token(&SampleEvent::created());
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    keys.rotate(&next);
    assert_eq!(post(&url, token).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stops_when_it_is_asked_to_and_answers_what_is_under_way() {
    for signal in ["INT", "TERM"] {
        let target = super::target::Target::start().await;
        target.wait(std::time::Duration::from_millis(300));
        let setup = Setup::new(&["--forward-to", &target.url], &[]);
        let token = setup.provider.token(&SampleEvent::created());
        let url = setup.url.clone();
        let delivery = tokio::spawn(async move { post(&url, token).await.status() });
        target.arrived().await;
        setup.listener.signal(signal);
        assert_eq!(delivery.await.unwrap(), 200);
        let ended = setup.listener.ended();
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{signal}");
        assert_eq!(
            ended.out.lines().last().unwrap(),
            r#"{"kind":"stopped","events":1,"refused":0,"notTaken":0}"#
        );
    }
}

/// `| head -1` has seen enough, and leaves nothing behind that runs on.
#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_its_reader_goes_away() {
    let (keys, provider) = provider();
    let mut command = command(&["listen", "--listen", "127.0.0.1:0", "--json"]);
    command.env("IDNOW_ISSUER", keys.issuer()).env("IDNOW_AUDIENCE", AUDIENCE);
    let (child, mut stdout) = Running::stdout_of(&mut command);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    drop(stdout);
    let answer = post(said["url"].as_str().unwrap(), provider.token(&SampleEvent::created())).await;
    assert_eq!(answer.status(), 503, "nobody has seen it: it must come again");
    assert_eq!(answer.headers()["retry-after"], "1");
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn what_cannot_work_is_said_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sandbox = ["--sandbox", "http://127.0.0.1:1"];
    for (arguments, code, expected) in [
        (&["--listen", &address][..], 1, &*format!("cannot listen on {address}: ")),
        (&["--listen", "127.0.0.1:0"], 1, "IDNOW_ISSUER is not set"),
        (
            &["--listen", "127.0.0.1:0", sandbox[0], sandbox[1]],
            1,
            "no sandbox answers at http://127.0.0.1:1/: no connection",
        ),
        (&["--listen", "here"], 2, "invalid value 'here'"),
        (&["--path", "hooks"], 2, "a path that begins with /"),
        (&["--path", "/a?b"], 2, "a path that begins with /"),
        (&["--forward-to", "ftp://127.0.0.1/"], 2, "expected http://"),
        (&["--forward-to", "127.0.0.1:3000"], 2, "expected http://"),
    ] {
        let error = run(&[&["listen"], arguments].concat()).failed(code);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    // A port of its own that is known before it listens.
    let port = taken.local_addr().unwrap().port();
    drop(taken);
    let listen = format!("127.0.0.1:{port}");
    let error = run(&["listen", "--listen", &listen, "--forward-to", &format!("http://localhost:{port}/x")])
        .failed(2);
    assert!(error.contains("leads back to this listener"), "{error}");
}
