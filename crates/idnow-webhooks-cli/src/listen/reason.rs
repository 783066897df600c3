//! Why a delivery was refused, for whoever watches.
//!
//! The texts of the receiver's own errors quote what a token says. Here they must not: nobody vouches for it.

use std::fmt::Display;

use idnow_webhooks::{Refusal, VerifyError};

use crate::text;

pub(super) fn of(refusal: &Refusal) -> String {
    let reason = match refusal {
        Refusal::Token(error) => of_token(error),
        Refusal::KeysUnavailable { token, keys } => {
            format!("{}; and the keys could not be refreshed: {keys}", of_token(token))
        }
        other => other.to_string(),
    };
    text::line(&reason).into_owned()
}

fn of_token(error: &VerifyError) -> String {
    match error {
        // Without anything of its content.
        VerifyError::Malformed(error) => error.to_string(),
        VerifyError::Algorithm { expected, .. } => {
            format!("algorithm: expected {} (see IDNOW_ALGORITHMS)", list(expected))
        }
        VerifyError::MissingClaim(name) => format!("claim `{name}` is missing"),
        VerifyError::Issuer { expected, .. } => {
            format!("issuer: expected {} (see IDNOW_ISSUER)", list(expected))
        }
        VerifyError::Audience { expected, .. } => format!(
            "audience: expected {} (see IDNOW_AUDIENCE: the URL of the endpoint, as it is configured where the event \
             comes from)",
            list(expected)
        ),
        VerifyError::Expired { leeway, .. } => format!("expired, leeway is {leeway} s"),
        VerifyError::NotYetIssued { leeway, .. } | VerifyError::NotYetValid { leeway, .. } => {
            format!("valid only in the future, leeway is {leeway} s: compare the clocks")
        }
        VerifyError::Lifetime { most, .. } => format!("lifetime: expected 1 to {most} s"),
        VerifyError::TooOld { most, .. } => format!("too old: at most {most} s are accepted"),
        VerifyError::UnknownKey { known, .. } if known.is_empty() => "key: no keys are known".into(),
        VerifyError::UnknownKey { known, .. } => {
            format!("key: signed with none of the known ones, {}", list(known))
        }
        VerifyError::Signature { .. } => "signature: does not hold under the key that the token names".into(),
        other => other.check().into(),
    }
}

fn list(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
