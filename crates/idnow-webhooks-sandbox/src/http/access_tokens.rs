//! Access tokens of the session API.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::Error;

/// How long a token is valid.
pub(crate) const LIFETIME: Duration = Duration::from_hours(24);

const RANDOM: usize = 16;
const SIGNED: usize = RANDOM + 8;

/// Issues and checks opaque tokens.
///
/// A token holds random bytes, the end of its life and a MAC over both, under a key that never leaves the memory:
/// however many are issued, nothing grows, and none outlives the process.
pub(crate) struct AccessTokens {
    key: hmac::Key,
    random: SystemRandom,
    began: Instant,
}

impl AccessTokens {
    pub(crate) fn new() -> Result<Self, Error> {
        let random = SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random)
            .map_err(|_| Error::unavailable("no random numbers for the key of access tokens"))?;
        Ok(Self { key, random, began: Instant::now() })
    }

    pub(crate) fn issue(&self, now: Instant) -> Result<String, Error> {
        let mut token = [0; SIGNED];
        let (random, expires) = token.split_at_mut(RANDOM);
        self.random.fill(random).map_err(|_| Error::unavailable("no random numbers for an access token"))?;
        let end = (now + LIFETIME).saturating_duration_since(self.began);
        expires.copy_from_slice(&end.as_secs().to_be_bytes());
        let mac = hmac::sign(&self.key, &token);
        Ok(URL_SAFE_NO_PAD.encode([&token[..], mac.as_ref()].concat()))
    }

    /// Whether `token` was issued here and has not expired.
    pub(crate) fn accepts(&self, token: &str, now: Instant) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let Some((signed, mac)) = bytes.split_at_checked(SIGNED) else { return false };
        if hmac::verify(&self.key, signed, mac).is_err() {
            return false;
        }
        let Some(end) = signed.last_chunk::<8>() else { return false };
        now.saturating_duration_since(self.began).as_secs() < u64::from_be_bytes(*end)
    }
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessTokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_a_day() {
        let tokens = AccessTokens::new().unwrap();
        let now = tokens.began + Duration::from_secs(100);
        let token = tokens.issue(now).unwrap();
        assert!(tokens.accepts(&token, now));
        assert!(tokens.accepts(&token, now + Duration::from_secs(24 * 60 * 60 - 1)));
        assert!(!tokens.accepts(&token, now + LIFETIME));
    }

    #[test]
    fn no_two_are_alike_and_those_of_another_process_are_worth_nothing() {
        let (ours, theirs) = (AccessTokens::new().unwrap(), AccessTokens::new().unwrap());
        let now = Instant::now();
        let token = ours.issue(now).unwrap();
        assert_ne!(token, ours.issue(now).unwrap());
        assert!(!theirs.accepts(&token, now));
    }

    #[test]
    fn a_changed_token_is_refused() {
        let tokens = AccessTokens::new().unwrap();
        let now = Instant::now();
        let good = URL_SAFE_NO_PAD.decode(tokens.issue(now).unwrap()).unwrap();
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(!tokens.accepts(&URL_SAFE_NO_PAD.encode(&changed), now), "byte {at}");
            assert!(!tokens.accepts(&URL_SAFE_NO_PAD.encode(&good[..at]), now), "cut at {at}");
        }
        for token in ["", "x", "!!!", "ümlaut"] {
            assert!(!tokens.accepts(token, now), "{token}");
        }
    }
}
