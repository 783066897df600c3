//! Tokens that no receiver should accept.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};

use super::message::{Message, Unsendable, json};
use super::token::Data;
use crate::chaos::Fault;
use crate::keys::SigningKey;
use crate::model::Endpoint;
use crate::state::{Due, State};

/// An hour after its end.
const LONG_AGO: TimeDelta = TimeDelta::hours(-2);
const FAR_AHEAD: TimeDelta = TimeDelta::days(1);

/// `at` is what the clock shows, `bit` which part of a signature's bits comes before the wrong one. None if there is no key to do it with.
pub(super) async fn forge(
    state: &State,
    endpoint: &Endpoint,
    (due, at): (&Due, DateTime<Utc>),
    active: &Arc<SigningKey>,
    fault: Fault,
    bit: f64,
) -> Option<Result<Message, Unsendable>> {
    let key = match fault {
        Fault::Unknown => match state.chaos().unknown_key().await {
            Ok(key) => key,
            Err(error) => return Some(Err(Unsendable::Token(error))),
        },
        Fault::Retired => state.chaos().retired_key(state.database(), state.settings()).await?,
        _ => Arc::clone(active),
    };
    let away = match fault {
        Fault::Expired => LONG_AGO,
        Fault::Future => FAR_AHEAD,
        _ => TimeDelta::zero(),
    };
    let at = at.checked_add_signed(away).unwrap_or(at);
    let claims = Data::claims(&due.event, due.number, at, &state.settings().issuer, &endpoint.url);
    let token = json(&claims).and_then(|claims| key.sign(&claims)).map_err(Unsendable::Token);
    Some(token.and_then(|token| {
        let token = if fault == Fault::Corrupt { corrupted(&token, bit) } else { token };
        Message::with_token(&endpoint.headers, endpoint.token_place, &claims, token)
    }))
}

/// With one wrong bit in its signature.
fn corrupted(token: &str, bit: f64) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    let bits = u32::try_from(bytes.len()).unwrap_or_default().saturating_mul(8);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a number of bits")]
    let wrong = (f64::from(bits) * bit) as usize;
    if let Some(byte) = bytes.get_mut(wrong / 8) {
        *byte ^= 1 << (wrong % 8);
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_bit_of_the_signature_is_wrong() {
        let signature = [0b1010_0101; 256];
        let token = format!("head.claims.{}", URL_SAFE_NO_PAD.encode(signature));
        for bit in [0.0, 0.25, 0.5, 0.999_999_999] {
            let forged = corrupted(&token, bit);
            let (signed, wrong) = forged.rsplit_once('.').unwrap();
            assert_eq!(signed, "head.claims");
            let wrong = URL_SAFE_NO_PAD.decode(wrong).unwrap();
            let differing: u32 = wrong.iter().zip(signature).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!((wrong.len(), differing), (256, 1), "{bit}");
        }
        assert_ne!(corrupted(&token, 0.1), corrupted(&token, 0.2));
    }
}
