//! Answers hold nothing of the request, nor of the receiver's settings.

use idnow_webhooks_core::{Admission, RequiredHeader};

use super::prelude::*;

const MARK: &str = "MARK-0xC0FFEE";

pub(crate) async fn nothing_of_the_request_comes_back(on: Target) {
    let required = RequiredHeader::new("X-Auth-Token", ["the-secret"]).unwrap();
    let admission = Admission::new().require(required);
    let stage = Stage::with(on, |receiver, _| {
        receiver.admission(admission).expected_environment("live").max_body_bytes(4000)
    });
    let provider = &stage.provider;
    let marked = SampleEvent::completed().with_event_id(MARK).with_environment(MARK);
    let admitted = |mut request: Request<Body>| {
        set(&mut request, "x-auth-token", "the-secret");
        set(&mut request, "x-mark", MARK);
        request
    };
    let mut wrong_header = stage.delivery(&marked);
    set(&mut wrong_header, "x-auth-token", MARK);
    let mut media_type = admitted(stage.delivery(&marked));
    set(&mut media_type, "content-type", &format!("text/{MARK}"));
    let mut encoding = admitted(stage.delivery(&marked));
    set(&mut encoding, "content-encoding", MARK);
    let mut method = admitted(stage.delivery(&marked));
    *method.method_mut() = MARK.replace('x', "X").parse().unwrap();
    let mut query = admitted(delivery(MARK));
    *query.uri_mut() = format!("{PATH}?{MARK}").parse().unwrap();
    let requests = [
        wrong_header,
        media_type,
        encoding,
        method,
        query,
        admitted(by_header("x-idnow-signature", MARK, MARK)),
        admitted(delivery(MARK.repeat(400))),
        admitted(delivery(provider.clone().with_audience(MARK).token(&marked))),
        admitted(delivery(provider.clone().with_issuer(MARK).token(&marked))),
        admitted(delivery(
            provider.clone().with_key(provider.key().clone().with_key_id(MARK)).token(&marked),
        )),
        admitted(stage.delivery(&marked)),
        admitted(stage.delivery(&marked.clone().remove("eventName"))),
    ];
    for request in requests {
        let answer = stage.send(request).await;
        assert!(answer.status >= 400, "{answer:?}");
        let text = format!("{answer:?}").to_lowercase();
        for secret in ["mark", "0xc0ffee", "the-secret", "bank.example", provider.key().key_id().unwrap()] {
            assert!(!text.contains(&secret.to_lowercase()), "{secret} in {answer:?}");
        }
        // Together with the fixed texts of the status table, this is all that there may be.
        let code = answer.body.split(r#""code":""#).nth(1).unwrap().trim_end_matches(r#""}"#);
        assert_eq!(answer, Answer::refused(answer.status, code));
    }
    assert_eq!(stage.calls.count(), 0);
}
