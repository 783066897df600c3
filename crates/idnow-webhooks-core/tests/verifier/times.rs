//! `exp`, `iat` and `nbf` at their very edges, and numbers that no clock shows.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks_core::{ClaimsError, MismatchKind, PolicyError, Verifier};
use idnow_webhooks_testkit::SigningKey;
use serde_json::{Value, json};

use crate::{NOW, at, claims_with, mismatch, policy, refused, refused_by, signed_claims, unusable, verify};

const EXP: i64 = NOW + 3600;

fn check(verifier: &Verifier, changes: &Value, now: i64) -> Option<MismatchKind> {
    let token = signed_claims(&claims_with(changes));
    let keys = SigningKey::shared().key_set();
    match verifier.verify(token.as_bytes(), &keys, at(now)) {
        Ok(_) => None,
        Err(_) => Some(mismatch(refused_by(verifier, &token, &keys, at(now)))),
    }
}

fn leeway(seconds: u64) -> Verifier {
    policy().leeway(Duration::from_secs(seconds)).build().unwrap()
}

#[test]
fn a_token_expires_at_the_second() {
    for seconds in [0, 1, 60, 600] {
        let verifier = leeway(seconds);
        let leeway = i64::try_from(seconds).unwrap();
        for now in [NOW, EXP - 1, EXP + leeway - 1] {
            assert_eq!(check(&verifier, &json!({}), now), None, "{now} with {leeway}");
        }
        for late in [0, 1, 2, 1000, 1_000_000_000] {
            let error = check(&verifier, &json!({}), EXP + leeway + late);
            assert_eq!(error, Some(MismatchKind::Expired { seconds_ago: leeway + late, leeway }));
        }
    }
}

#[test]
fn a_token_from_the_future_is_refused_at_the_second() {
    for seconds in [0, 1, 60, 600] {
        let verifier = leeway(seconds);
        let leeway = i64::try_from(seconds).unwrap();
        for now in [NOW, NOW + 1, NOW - leeway] {
            assert_eq!(check(&verifier, &json!({}), now), None, "{now} with {leeway}");
            assert_eq!(check(&verifier, &json!({ "nbf": NOW }), now), None, "{now} with {leeway}");
        }
        for early in [1, 2, 1000, 1_000_000_000] {
            let seconds_ahead = leeway + early;
            let error = check(&verifier, &json!({}), NOW - seconds_ahead);
            assert_eq!(error, Some(MismatchKind::NotYetValid { claim: "iat", seconds_ahead, leeway }));
            let nbf = json!({ "nbf": NOW + seconds_ahead });
            let error = check(&verifier, &nbf, NOW);
            assert_eq!(error, Some(MismatchKind::NotYetValid { claim: "nbf", seconds_ahead, leeway }));
        }
    }
    assert_eq!(check(&leeway(60), &json!({ "nbf": null }), NOW), None);
}

#[test]
fn a_life_must_be_positive_and_short() {
    let day = 24 * 3600;
    let verifier = leeway(60);
    let lifetime = |seconds: i64| check(&verifier, &json!({ "exp": NOW + seconds }), NOW);
    for seconds in [1, 3600, day] {
        assert_eq!(lifetime(seconds), None, "{seconds}");
    }
    for seconds in [0, -1, -59, day + 1, 400 * day] {
        assert_eq!(lifetime(seconds), Some(MismatchKind::Lifetime { seconds, most: day }), "{seconds}");
    }
    let hour = policy().max_lifetime(Duration::from_secs(3600)).build().unwrap();
    assert_eq!(check(&hour, &json!({}), NOW), None);
    let longer = check(&hour, &json!({ "exp": EXP + 1 }), NOW);
    assert_eq!(longer, Some(MismatchKind::Lifetime { seconds: 3601, most: 3600 }));
}

#[test]
fn an_age_is_counted_to_the_second() {
    let verifier = policy().max_age(Duration::from_secs(300)).build().unwrap();
    for age in [0, 300, 360] {
        assert_eq!(check(&verifier, &json!({}), NOW + age), None, "{age}");
    }
    for age in [361, 1000, 3600] {
        let error = check(&verifier, &json!({}), NOW + age);
        assert_eq!(error, Some(MismatchKind::TooOld { seconds: age, most: 300, leeway: 60 }));
    }
}

#[test]
fn fractions_count_as_their_whole_second() {
    for (iat, exp) in [
        (json!(1_767_861_339.0), json!(1_767_864_939.999_9)),
        (json!(1.767_861_339e9), json!(1.767_864_939e9)),
    ] {
        let token = signed_claims(&claims_with(&json!({ "iat": iat, "exp": exp })));
        let verified = verify(token).unwrap();
        assert_eq!(verified.issued_at, at(NOW));
        assert_eq!(verified.expires_at, at(EXP));
    }
}

/// The provider's numbers are JSON numbers between 1970 and 9999, however they are written.
#[test]
fn impossible_times_are_unusable() {
    for name in ["exp", "iat", "nbf"] {
        for text in [
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "1e19",
            "1e300",
            "1e308",
            "1e999",
            "-1e999",
            "-1",
            "-0.5",
            "-9223372036854775808",
            "-9223372036854775809",
            "253402300800",
            "true",
            "false",
            "[]",
            "{}",
            "[1767861339]",
            "\"1767861339\"",
            "\"\"",
            "\"2026-01-08T08:35:39Z\"",
        ] {
            let mut claims = claims_with(&json!({ name: 0 })).to_string();
            assert!(claims.contains(&format!("\"{name}\":0")));
            claims = claims.replace(&format!("\"{name}\":0"), &format!("\"{name}\":{text}"));
            let header = crate::header_with(&json!({})).to_string();
            assert_eq!(unusable(crate::signed(&header, &claims)), ClaimsError::Mistyped(name), "{text}");
        }
    }
    let last_second = refused(signed_claims(&claims_with(&json!({ "exp": 253_402_300_799_i64 }))));
    assert_eq!(last_second.code(), "wrong_lifetime");
    let first_second = refused(signed_claims(&claims_with(&json!({ "exp": 1, "iat": -0.0 }))));
    assert_eq!(first_second.code(), "expired");
}

#[test]
fn the_ends_of_the_calendar_break_no_arithmetic() {
    let token = signed_claims(&claims_with(&json!({})));
    let keys = SigningKey::shared().key_set();
    for builder in [
        policy(),
        policy().max_lifetime(Duration::MAX).max_age(Duration::MAX).leeway(Duration::from_secs(600)),
        policy().max_lifetime(Duration::from_secs(1)).max_age(Duration::from_secs(1)).leeway(Duration::ZERO),
    ] {
        let verifier = builder.build().unwrap();
        for now in [
            DateTime::<Utc>::MIN_UTC,
            DateTime::<Utc>::MAX_UTC,
            DateTime::UNIX_EPOCH,
            DateTime::UNIX_EPOCH - TimeDelta::nanoseconds(1),
        ] {
            refused_by(&verifier, &token, &keys, now);
        }
    }
    // With no limits the token of the last second still counts.
    let forever = policy().max_lifetime(Duration::MAX).max_age(Duration::MAX).build().unwrap();
    assert_eq!(check(&forever, &json!({ "exp": 253_402_300_799_i64, "iat": 0 }), NOW), None);
}

#[test]
fn a_policy_that_means_nothing_cannot_be_built() {
    let built = |builder: idnow_webhooks_core::VerifierBuilder| builder.build().map(|_| ());
    assert_eq!(built(policy().leeway(Duration::from_secs(601))), Err(PolicyError::Leeway(601)));
    assert_eq!(built(policy().max_age(Duration::from_millis(999))), Err(PolicyError::Zero("max_age")));
    assert_eq!(built(policy().max_lifetime(Duration::ZERO)), Err(PolicyError::Zero("max_lifetime")));
    assert_eq!(built(policy().leeway(Duration::ZERO)), Ok(()));
}
