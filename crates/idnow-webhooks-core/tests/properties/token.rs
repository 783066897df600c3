use chrono::DateTime;
use idnow_webhooks_core::keys::Algorithm;
use idnow_webhooks_core::{VerifiedToken, Verifier, VerifyError};
use idnow_webhooks_testkit::{FixedClock, Provider, SampleEvent, SigningKey};
use proptest::prelude::*;
use serde_json::json;

use crate::any_json;

const NOW: i64 = 1_767_861_339;

fn verify(token: &[u8], now: i64) -> Result<VerifiedToken, VerifyError> {
    let verifier = Verifier::builder()
        .issuer(Provider::ISSUER)
        .audience(Provider::AUDIENCE)
        .algorithms(Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_hmac()))
        .build()
        .unwrap();
    let now = DateTime::from_timestamp(now, 0).unwrap();
    verifier.verify(token, &SigningKey::shared().key_set(), now)
}

fn provider() -> Provider {
    Provider::new().with_clock(FixedClock::at(DateTime::from_timestamp(NOW, 0).unwrap()))
}

fn genuine() -> Vec<u8> {
    provider().token(&SampleEvent::published()).into_bytes()
}

/// A change of a text: which place, how many bytes go, and what comes in their stead.
#[derive(Debug, Clone)]
struct Edit {
    place: prop::sample::Index,
    removed: usize,
    inserted: Vec<u8>,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let inserted = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        "[A-Za-z0-9_.=-]{0,6}".prop_map(String::into_bytes),
    ];
    let edit = (any::<prop::sample::Index>(), 0..6_usize, inserted)
        .prop_map(|(place, removed, inserted)| Edit { place, removed, inserted });
    prop::collection::vec(edit, 1..4)
}

fn line_of(error: &VerifyError) -> String {
    let text = error.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(!error.code().is_empty());
    text
}

proptest! {
    #[test]
    fn random_bytes_are_never_believed(bytes: Vec<u8>, text in "[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}") {
        line_of(&verify(&bytes, NOW).unwrap_err());
        line_of(&verify(text.as_bytes(), NOW).unwrap_err());
    }

    #[test]
    fn an_edited_token_is_believed_only_if_nothing_changed(edits in edits()) {
        let token = genuine();
        let mut edited = token.clone();
        for Edit { place, removed, inserted } in edits {
            let start = place.index(edited.len() + 1);
            let end = edited.len().min(start + removed);
            edited.splice(start..end, inserted);
        }
        match verify(&edited, NOW) {
            Ok(_) => prop_assert_eq!(edited, token),
            Err(error) => {
                prop_assert_ne!(edited, token);
                line_of(&error);
            }
        }
    }

    #[test]
    fn genuinely_signed_bytes_of_any_kind_do_no_harm(header: Vec<u8>, claims: Vec<u8>) {
        let genuine_header = json!({ "alg": "RS256", "kid": SigningKey::shared().key_id() }).to_string();
        line_of(&verify(SigningKey::shared().sign_raw(&header, &claims).as_bytes(), NOW).unwrap_err());
        line_of(&verify(SigningKey::shared().sign_raw(genuine_header.as_bytes(), &claims).as_bytes(), NOW).unwrap_err());
    }

    #[test]
    fn claims_of_any_type_are_believed_only_as_documented(
        name in prop::sample::select(vec!["iss", "aud", "iat", "exp", "nbf"]),
        value in any_json(),
    ) {
        let token = provider().token_with(&SampleEvent::published(), |claims| {
            claims.insert(name.into(), value.clone());
        });
        if let Err(error) = verify(token.as_bytes(), NOW) {
            line_of(&error);
        } else {
            // A random value is right only where the claim may be missing, or is a fitting time.
            prop_assert!((name == "nbf" && value.is_null()) || value.is_number(), "{} {}", name, value);
        }
    }

    #[test]
    fn header_members_of_any_type_change_nothing_that_is_believed(
        name in prop::sample::select(vec!["alg", "kid", "typ", "cty", "crit", "b64", "jwk", "jku", "x5c", "x5u", "zip"]),
        value in any_json(),
    ) {
        let mut header = json!({ "alg": "RS256", "kid": SigningKey::shared().key_id() });
        header[name] = value.clone();
        let claims = provider().claims(&SampleEvent::published()).to_string();
        let token = SigningKey::shared().sign_raw(header.to_string().as_bytes(), claims.as_bytes());
        match verify(token.as_bytes(), NOW) {
            Ok(verified) => {
                prop_assert_eq!(&verified.key_id, &SigningKey::shared().key_id().map(str::to_owned));
                prop_assert!(!["alg", "crit", "b64"].contains(&name));
                prop_assert!(name != "kid" || !value.is_string());
            }
            Err(error) => {
                line_of(&error);
                prop_assert!(["alg", "kid", "crit", "b64"].contains(&name), "{} {}", name, error);
            }
        }
    }

    #[test]
    fn a_token_is_believed_exactly_from_its_issue_to_its_end(offset in -10_000_i64..10_000) {
        let believed = verify(&genuine(), NOW + offset).is_ok();
        prop_assert_eq!(believed, (-60..3660).contains(&offset));
    }

    #[test]
    fn any_data_is_kept_to_the_letter(data in any_json()) {
        let token = provider().token_with(&SampleEvent::published(), |claims| claims["data"] = data.clone());
        let verified = verify(token.as_bytes(), NOW).unwrap();
        prop_assert_eq!(verified.json(), data.to_string());
        if let Err(unreadable) = verified.event() {
            prop_assert!(!unreadable.to_string().chars().any(char::is_control));
        }
    }
}
