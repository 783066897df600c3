//! The same requests to all subjects in both versions of HTTP, and the answers side by side.

use bytes::Bytes;
use http::Request;
use idnow_webhooks_conformance::{
    Answer, Body, HEALTH, PATH, Protocol, Stage, Subject, Target, delivery, request, run,
};
use idnow_webhooks_core::{Admission, RequiredHeader};
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey, compact};

/// Values that parsers of headers and bodies like to disagree about.
const ODD: [&str; 13] = [
    "",
    " ",
    "\t",
    "a",
    "application/jwt",
    "application/jwt;",
    ";application/jwt",
    "application/json",
    "APPLICATION/JWT;x=\"y\"",
    "identity",
    "\u{e9}\u{fc}",
    "a,b",
    "198.51.100.1",
];

fn corpus(provider: &Provider) -> Vec<(String, Request<Body>)> {
    let event = SampleEvent::completed().with_event_id("the-same-event");
    let tokens = [
        ("genuine", provider.token(&event)),
        ("again", provider.token(&event.clone().with_attempt(2))),
        ("live", provider.token(&event.clone().with_environment("live"))),
        ("forged", provider.clone().with_key(SigningKey::shared_other()).token(&event)),
        ("unsigned", compact(r#"{"alg":"none"}"#, "{}", "")),
        ("unreadable", provider.token(&event.clone().remove("eventId"))),
        ("half", provider.token(&event)[..100].to_owned()),
        ("long", "a".repeat(9000)),
        ("dots", "..".to_owned()),
        ("empty", String::new()),
    ];
    let mut corpus = Vec::new();
    for (name, token) in tokens {
        for method in ["POST", "PUT", "HEAD", "OPTIONS", "TRACE"] {
            let mut request = delivery(if method == "HEAD" || method == "TRACE" {
                Bytes::new()
            } else {
                token.clone().into()
            });
            *request.method_mut() = method.parse().unwrap();
            corpus.push((format!("{method} {name}"), with(request, "x-auth-token", b"right")));
        }
        let header = with(request("POST", PATH), "x-idnow-signature", token.as_bytes());
        corpus.push((format!("header {name}"), with(header, "x-auth-token", b"right")));
        corpus.push((format!("no secret {name}"), delivery(token)));
    }
    let token = provider.token(&event);
    for header in
        ["content-type", "content-encoding", "x-auth-token", "x-idnow-signature", "x-forwarded-for", "accept"]
    {
        for value in ODD {
            let right = with(delivery(token.clone()), "x-auth-token", b"right");
            corpus.push((format!("{header}: {value:?}"), with(right, header, value.as_bytes())));
            let mut twice = with(delivery(token.clone()), "x-auth-token", b"right");
            twice.headers_mut().append(header, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
            corpus.push((format!("{header} also: {value:?}"), twice));
        }
    }
    corpus
}

fn with(mut request: Request<Body>, name: &'static str, value: &[u8]) -> Request<Body> {
    let value = http::HeaderValue::from_bytes(value).unwrap();
    request.headers_mut().insert(name, value);
    request
}

async fn answers(on: Target) -> Vec<(String, Answer)> {
    let stage = Stage::with(on, |receiver, _| {
        let required = RequiredHeader::new("X-Auth-Token", ["right"]).unwrap();
        let admission = Admission::new()
            .allow("127.0.0.0/8".parse().unwrap())
            .trust_proxy("127.0.0.1/32".parse().unwrap())
            .require(required);
        receiver.admission(admission).expected_environment("staging").max_body_bytes(8000)
    });
    let mut answers = Vec::new();
    for (name, request) in corpus(&stage.provider) {
        answers.push((name, stage.send(request).await));
    }
    let beside = stage.send(request("GET", HEALTH)).await;
    assert_eq!(beside.body, "healthy");
    answers
}

#[test]
fn every_subject_gives_the_same_answers() {
    run(async {
        let first = Target { subject: Subject::AxumLayer, protocol: Protocol::Http1 };
        let expected = answers(first).await;
        let statuses: std::collections::BTreeSet<_> =
            expected.iter().map(|(_, answer)| answer.status).collect();
        assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 400, 401, 403, 405, 413, 415, 503]);
        for subject in Subject::ALL {
            for protocol in Protocol::ALL {
                let on = Target { subject, protocol };
                for ((name, expected), (_, answer)) in expected.iter().zip(answers(on).await) {
                    assert_eq!(*expected, answer, "{name}: {first:?} and {on:?} differ");
                }
            }
        }
    });
}
