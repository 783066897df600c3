use idnow_webhooks::keys::Algorithm;
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey, compact};
use reqwest::StatusCode;

/// One delivery, and what is right for it.
pub(super) struct Step {
    pub(super) what: &'static str,
    pub(super) token: String,
    pub(super) from_stranger: bool,
    /// A key that the key server publishes alone from now on.
    pub(super) publish: Option<SigningKey>,
    pub(super) status: StatusCode,
    pub(super) calls: Vec<String>,
}

pub(super) struct Chapter {
    pub(super) title: &'static str,
    pub(super) steps: Vec<Step>,
}

impl Step {
    fn accepted(what: &'static str, token: String, call: &str) -> Self {
        Self {
            what,
            token,
            from_stranger: false,
            publish: None,
            status: StatusCode::OK,
            calls: vec![call.to_owned()],
        }
    }

    fn duplicate(what: &'static str, token: String) -> Self {
        Self { what, token, from_stranger: false, publish: None, status: StatusCode::OK, calls: Vec::new() }
    }

    fn refused(what: &'static str, token: String) -> Self {
        let status = StatusCode::UNAUTHORIZED;
        Self { what, token, from_stranger: false, publish: None, status, calls: Vec::new() }
    }
}

pub(super) fn chapters(provider: &Provider) -> Vec<Chapter> {
    vec![
        Chapter { title: "Genuine deliveries", steps: genuine(provider) },
        Chapter { title: "Forgeries", steps: forged(provider) },
        Chapter { title: "A new key", steps: rotated(provider) },
    ]
}

fn genuine(provider: &Provider) -> Vec<Step> {
    let token = |event: &SampleEvent| provider.token(event);
    let [created, completed] = SampleEvent::session("6f1d4a1e-22c7-4b57-9a5b-0d4f1f0f2c11");
    let [late, first] = SampleEvent::session("0e4cf7d2-5f3e-4b7d-8a44-b7c3c5a1d922");
    vec![
        Step::accepted(
            "the published example",
            token(&SampleEvent::published()),
            r#"on("session.completed") no. 2, COMPLETED, after a gap"#,
        ),
        Step::accepted("a session is created", token(&created), r#"on("session.created") no. 1, CREATED"#),
        Step::accepted("... and completed", token(&completed), r#"on("session.completed") no. 2, COMPLETED"#),
        Step::duplicate("the same once more (second attempt)", token(&completed.clone().with_attempt(2))),
        Step::accepted(
            "out of order: completed comes first",
            token(&first),
            r#"on("session.completed") no. 2, COMPLETED, after a gap"#,
        ),
        Step::accepted(
            "... and created afterwards",
            token(&late),
            r#"on("session.created") no. 1, CREATED, late"#,
        ),
        Step {
            calls: [": fails", ""]
                .map(|ending| format!(r#"on("session.expired") no. 2, EXPIRED, after a gap{ending}"#))
                .to_vec(),
            ..Step::accepted("its handler fails at first", token(&SampleEvent::expired()), "")
        },
        Step::accepted(
            "an event that nobody knows yet",
            token(&SampleEvent::named("session.rewound")),
            r#"on_unknown("session.rewound")"#,
        ),
    ]
}

fn forged(provider: &Provider) -> Vec<Step> {
    let event = SampleEvent::completed();
    let signed_by = |key: SigningKey| provider.clone().with_key(key).token(&event);
    let wrong_key = SigningKey::shared_other().with_key_id(provider.key().key_id().unwrap_or_default());
    let secret = SigningKey::from_secret(Algorithm::Hs256, provider.key().public_key_pem());
    let unsigned = compact(r#"{"alg":"none","typ":"JWT"}"#, provider.claims(&event).to_string(), "");
    let hour_ago = chrono::TimeDelta::hours(1).num_seconds();
    let expired = provider.token_with(&event, |claims| {
        for name in ["iat", "exp"] {
            if let Some(time) = claims.get(name).and_then(serde_json::Value::as_i64) {
                claims.insert(name.to_owned(), (time - 2 * hour_ago).into());
            }
        }
    });
    vec![
        Step::refused("the payload was tampered with", tampered(provider, &event)),
        Step::refused("signed with another key", signed_by(wrong_key)),
        Step::refused("alg: none", unsigned),
        Step::refused("HS256 with the public key as secret", signed_by(secret)),
        Step::refused("expired an hour ago", expired),
        Step::refused(
            "signed for another audience",
            provider.clone().with_audience("https://shop.example/hook").token(&event),
        ),
        Step {
            from_stranger: true,
            status: StatusCode::FORBIDDEN,
            ..Step::refused("from an address that is not on the list", provider.token(&event))
        },
    ]
}

fn rotated(provider: &Provider) -> Vec<Step> {
    let next = SigningKey::shared_other();
    let event = SampleEvent::aborted();
    vec![
        Step {
            publish: Some(next.clone()),
            ..Step::accepted(
                "signed with a key published a moment ago",
                provider.clone().with_key(next).token(&event),
                r#"on("session.aborted") no. 2, ABORTED, after a gap"#,
            )
        },
        Step {
            // The old key is gone, and the key server was asked a moment ago: it may still be a newer key.
            status: StatusCode::SERVICE_UNAVAILABLE,
            ..Step::refused("signed with the key that was revoked", provider.token(&SampleEvent::expired()))
        },
    ]
}

/// Keeps header and signature, and makes a refused session out of an accepted one.
fn tampered(provider: &Provider, event: &SampleEvent) -> String {
    let genuine = provider.token(event);
    let other = provider.token(&event.clone().set("payload.lastStepId", "END-REJECT"));
    let mut parts: Vec<_> = genuine.split('.').collect();
    if let (Some(slot), Some(claims)) = (parts.get_mut(1), other.split('.').nth(1)) {
        *slot = claims;
    }
    parts.join(".")
}
