//! Genuine tokens that do not fit this receiver's settings or clock, kept until somebody has corrected these.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;

use super::{Evidence, Retention};
use crate::one_line::one_line;

/// The longest issuer and the longest audience, in characters. Real ones are URLs; several audiences stand in one text.
const MAX_ORIGIN: usize = 1024;
/// The longest reason, in characters.
const MAX_REASON: usize = 2048;
/// The longest of the other texts, in characters.
const MAX_LABEL: usize = 256;

/// A token whose signature holds, and that was refused all the same (503), because it does not fit the receiver's
/// settings or its clock. `Receiver::admit` verifies it again.
///
/// ```
/// use idnow_webhooks_core::store::{EventStore, Evidence, MemoryStore, ParkLimits, ParkOutcome, ParkedToken};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let token = ParkedToken {
///     issuer: "https://auth.eu.platform.idnow.io/oidc".to_owned(),
///     audience: "https://old.example.com/webhooks".to_owned(),
///     code: "wrong_audience".to_owned(),
///     reason: "expected https://example.com/webhooks".to_owned(),
///     ..ParkedToken::new("1", Evidence::new("eyJ...", None), chrono::Utc::now())
/// };
/// let store = MemoryStore::new();
/// assert_eq!(store.park(token.clone(), ParkLimits::default()).await?, ParkOutcome::New { dropped: 0 });
/// assert_eq!(store.park(token, ParkLimits::default()).await?, ParkOutcome::Known);
/// assert_eq!(store.parked(0, 10).await?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParkedToken {
    /// What it is found by: 1 to 256 bytes without control characters. All attempts of one event, for the same audience,
    /// share it.
    pub id: String,
    /// Its place in the order of arrival, from 1, given by the store. No later token has the same. 0 before it is stored.
    pub position: i64,
    /// `iss`.
    pub issuer: String,
    /// `aud`; several are separated by spaces.
    pub audience: String,
    /// `eventId`, as far as it can be read.
    pub event_id: Option<String>,
    /// `eventName`, as far as it can be read.
    pub event_name: Option<String>,
    /// The machine code of the refusal, such as `wrong_audience`.
    pub code: String,
    /// What was expected and what was seen, in one line.
    pub reason: String,
    /// Whether the event names a flow that the receiver [expects](crate::VerifierBuilder::expected_flow), so that it is most
    /// likely ours (default: `false`). A store drops the other tokens first.
    pub is_expected_flow: bool,
    /// When it arrived, by the receiver's clock, to the microsecond.
    pub received_at: DateTime<Utc>,
    /// The token, and the public key that verified it. Never serialised: others could use the token until it expires.
    #[serde(skip)]
    pub evidence: Evidence,
}

impl ParkedToken {
    /// A token to park. The members that are not given here are empty.
    pub fn new(id: impl Into<String>, evidence: Evidence, received_at: DateTime<Utc>) -> Self {
        Self {
            id: id.into(),
            position: 0,
            issuer: String::new(),
            audience: String::new(),
            event_id: None,
            event_name: None,
            code: String::new(),
            reason: String::new(),
            is_expected_flow: false,
            received_at,
            evidence,
        }
    }

    /// For implementations of [`EventStore`](super::EventStore): the token as [`park`](super::EventStore::park) keeps it.
    ///
    /// Every text is in one line, with control characters as escapes. It is cut after 1024 characters (issuer, audience),
    /// 2048 (reason) or 256 (the others). The evidence stays as it is.
    #[must_use]
    pub fn bounded(self) -> Self {
        let label = |text: String| one_line(&text, MAX_LABEL);
        Self {
            issuer: one_line(&self.issuer, MAX_ORIGIN),
            audience: one_line(&self.audience, MAX_ORIGIN),
            event_id: self.event_id.map(label),
            event_name: self.event_name.map(label),
            code: label(self.code),
            reason: one_line(&self.reason, MAX_REASON),
            received_at: self.received_at.trunc_subsecs(6),
            ..self
        }
    }
}

/// How much of what is parked a store keeps. What was parked last is always kept, whatever the limits.
///
/// Beyond a number, a store drops tokens without an [expected flow](ParkedToken::is_expected_flow) first, and of these the
/// oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkLimits {
    /// How many tokens for each pair of issuer and audience (default: 10,000).
    pub per_audience: usize,
    /// How many tokens in all (default: 50,000).
    pub in_all: usize,
    /// How long a token is kept, by the store's clock (default: 7 days). A store never keeps one for longer than it remembers
    /// completed events: a later attempt of the same event may be among them. A longer time than 7 days has no effect in
    /// a durable store: in the background, it drops what is older.
    pub keep: Duration,
}

impl ParkLimits {
    /// For implementations of [`EventStore`](super::EventStore): these limits in a store that remembers completed events for
    /// so long.
    #[must_use]
    pub fn within(self, retention: Retention) -> Self {
        Self { keep: self.keep.min(retention.get()), ..self }
    }
}

impl Default for ParkLimits {
    fn default() -> Self {
        Self { per_audience: 10_000, in_all: 50_000, keep: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// What [`EventStore::park`](super::EventStore::park) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkOutcome {
    /// The token is kept.
    New {
        /// How many older ones were dropped, because of their number or their age.
        dropped: u64,
    },
    /// One of the same id is kept already, from an earlier attempt of the same event. It stays as it is.
    Known,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_lines_of_bounded_length() {
        let long = "a\0\n\u{202e}".repeat(10_000);
        let token = ParkedToken {
            issuer: long.clone(),
            audience: long.clone(),
            event_id: Some(long.clone()),
            event_name: Some(long.clone()),
            code: long.clone(),
            reason: long.clone(),
            ..ParkedToken::new("1", Evidence::new("token", Some("{}".to_owned())), DateTime::<Utc>::MAX_UTC)
        };
        let kept = token.clone().bounded();
        let texts = [&kept.issuer, &kept.audience, &kept.code, &kept.reason].into_iter();
        for text in texts.chain(&kept.event_id).chain(&kept.event_name) {
            assert!(text.starts_with(r"a\0\n\u{202e}a"), "{text}");
            assert!(!text.contains(char::is_control) && text.ends_with('…') && text.len() < 20_000);
        }
        assert_eq!((&kept.id, &kept.evidence), (&token.id, &token.evidence));
        assert_eq!(kept.received_at.timestamp_subsec_nanos(), 999_999_000);
    }

    #[test]
    fn usual_texts_stay_as_they_are() {
        let at = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap_or_default();
        let token = ParkedToken {
            issuer: "https://auth.eu.platform.idnow.io/oidc".to_owned(),
            audience: "https://a.example/über https://b.example/?a=\"1\"".to_owned(),
            event_id: Some("0f8fad5b-d9cb-469f-a165-70867728950e".to_owned()),
            event_name: Some("session.created".to_owned()),
            code: "wrong_audience".to_owned(),
            reason: "expected one, seen another".to_owned(),
            ..ParkedToken::new("1", Evidence::new("token", None), at)
        };
        assert_eq!(token.clone().bounded(), token);
    }
}
