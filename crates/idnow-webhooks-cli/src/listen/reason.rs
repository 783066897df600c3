//! Why a delivery was refused, for whoever watches.
//!
//! Nobody vouches for a token whose signature does not hold, so nothing of it is shown. The errors of a genuine one quote
//! what it says.

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
        VerifyError::Algorithm { .. } => {
            "algorithm: the key that the token names does not sign with the token's algorithm".into()
        }
        VerifyError::UnknownKey { known, .. } if known.is_empty() => "key: no keys are known".into(),
        VerifyError::UnknownKey { known, .. } => {
            format!("key: signed with none of the known ones, {}", list(known))
        }
        VerifyError::Signature { .. } => "signature: does not hold under the key that the token names".into(),
        other => other.to_string(),
    }
}

fn list(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
