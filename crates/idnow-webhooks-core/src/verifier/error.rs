use std::fmt;

use crate::event::Arrival;
use crate::keys::Algorithm;
use crate::token::{ClaimsError, TokenError};

use super::VerifiedToken;

/// Why a token is not accepted. The text is for the receiver's own log: it is never part of an answer.
///
/// Each variant says what is proven. The signature comes first: only a token whose signature holds tells anything, so
/// the last two are all that the provider's key is needed for, and all others are what anybody can cause.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The text is not a token at all.
    #[error(transparent)]
    Malformed(#[from] TokenError),
    /// No key of this id could have made such a signature: it is `none`, or made for another kind of key.
    #[error("algorithm: the key with id {} does not sign with {algorithm}", Maybe(key_id.as_ref()))]
    Algorithm {
        /// `kid`.
        key_id: Option<Untrusted>,
        /// `alg`.
        algorithm: Untrusted,
    },
    /// The signature is not that of the key that the token names.
    #[error("signature: does not hold under the {algorithm} key with id {}", Maybe(key_id.as_ref()))]
    Signature {
        /// `kid`.
        key_id: Option<Untrusted>,
        /// `alg`.
        algorithm: Untrusted,
    },
    /// The keys at hand do not hold the one that signed, as far as they can tell.
    #[error(
        "key: no usable {algorithm} key with id {} verifies it, known ids are {}",
        Maybe(key_id.as_ref()),
        List(known)
    )]
    UnknownKey {
        /// `kid`.
        key_id: Option<Untrusted>,
        /// `alg`.
        algorithm: Untrusted,
        /// The ids of the keys at hand, at most twenty.
        known: Vec<Untrusted>,
    },
    /// The signature holds, but the claims do not tell for whom the token is, or when.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// The signature holds, but the token does not fit the receiver's settings or its clock.
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
}

impl VerifyError {
    /// A stable machine code, the same in the answer's body, in logs and in metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_token",
            Self::Algorithm { .. } => "wrong_algorithm",
            Self::Signature { .. } => "false_signature",
            Self::UnknownKey { .. } => "unknown_key",
            Self::Claims(_) => "unusable_claims",
            Self::Mismatch(mismatch) => mismatch.kind.code(),
        }
    }

    /// Whether other keys than those at hand could verify the token: the key server may have published them since.
    pub(crate) fn may_be_the_keys(&self) -> bool {
        matches!(self, Self::UnknownKey { .. } | Self::Signature { .. } | Self::Algorithm { .. })
    }
}

/// A token whose signature holds, but that does not fit the receiver's settings or its clock.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind}")]
#[non_exhaustive]
pub struct Mismatch {
    /// What does not fit.
    pub kind: MismatchKind,
    /// Whether the event names a flow that the receiver expects: then it is most likely ours, and a setting is wrong.
    pub is_expected_flow: bool,
    pub(crate) token: VerifiedToken,
}

impl Mismatch {
    /// The event that the token vouches for.
    pub(crate) fn arrival(&self) -> &Arrival {
        &self.token.arrival
    }
}

/// What does not fit in a genuine token. The text names what was expected, what was seen, and the setting to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MismatchKind {
    /// `alg` is not on the allow list, though the key has it.
    #[error("algorithm: expected one of {}, seen {seen}; IDNOW_ALGORITHMS allows more", List(expected))]
    Algorithm {
        /// The allow list.
        expected: Vec<Algorithm>,
        /// What signed the token.
        seen: Algorithm,
    },
    /// `iss` is not a configured issuer.
    #[error(
        "issuer: expected one of {}, seen {seen}; IDNOW_ISSUER and IDNOW_ENVIRONMENT decide",
        List(expected)
    )]
    Issuer {
        /// The configured issuers.
        expected: Vec<String>,
        /// What the token says.
        seen: Untrusted,
    },
    /// `aud` holds no configured audience.
    #[error(
        "audience: expected one of {}, seen {}; IDNOW_AUDIENCE must be the endpoint's URL, letter for letter",
        List(expected),
        List(seen)
    )]
    Audience {
        /// The configured audiences.
        expected: Vec<String>,
        /// What the token says, at most five.
        seen: Vec<Untrusted>,
    },
    /// `exp` is not after `iat`, or the two are too far apart.
    #[error("lifetime: expected 1 to {most} s, seen {seconds} s; IDNOW_MAX_LIFETIME_SECONDS allows more")]
    Lifetime {
        /// `exp` minus `iat`.
        seconds: i64,
        /// The longest lifetime that is accepted.
        most: i64,
    },
    /// `exp` has passed.
    #[error(
        "time: expired {seconds_ago} s ago, expected at most {leeway} s (IDNOW_LEEWAY_SECONDS): compare this machine's clock"
    )]
    Expired {
        /// Seconds since `exp`.
        seconds_ago: i64,
        /// The configured leeway in seconds.
        leeway: i64,
    },
    /// `iat` lies too far in the past.
    #[error(
        "age: issued {seconds} s ago, expected at most {most} s (IDNOW_MAX_AGE_SECONDS) and {leeway} s (IDNOW_LEEWAY_SECONDS)"
    )]
    TooOld {
        /// Seconds since `iat`.
        seconds: i64,
        /// The configured maximum age in seconds.
        most: i64,
        /// The configured leeway in seconds.
        leeway: i64,
    },
    /// `iat` or `nbf` lies in the future: one of the two clocks is wrong.
    #[error(
        "time: `{claim}` is {seconds_ahead} s ahead, expected at most {leeway} s (IDNOW_LEEWAY_SECONDS): compare this machine's clock"
    )]
    NotYetValid {
        /// `iat` or `nbf`.
        claim: &'static str,
        /// Seconds until then.
        seconds_ahead: i64,
        /// The configured leeway in seconds.
        leeway: i64,
    },
    /// The event is for another environment than the receiver.
    #[error("environment: expected {expected:?}, seen {seen}; IDNOW_EXPECTED_ENVIRONMENT decides")]
    Environment {
        /// The configured environment.
        expected: String,
        /// What the event says.
        seen: Untrusted,
    },
    /// The event is of a flow that the receiver does not expect, or names none.
    #[error("flow: expected one of {}, seen {}; IDNOW_EXPECTED_FLOWS decides", List(expected), Maybe(seen.as_ref()))]
    Flow {
        /// The configured flows.
        expected: Vec<String>,
        /// What the event says.
        seen: Option<Untrusted>,
    },
}

impl MismatchKind {
    /// A stable machine code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Algorithm { .. } => "algorithm_not_allowed",
            Self::Issuer { .. } => "wrong_issuer",
            Self::Audience { .. } => "wrong_audience",
            Self::Lifetime { .. } => "wrong_lifetime",
            Self::Expired { .. } => "expired",
            Self::TooOld { .. } => "too_old",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Environment { .. } => "wrong_environment",
            Self::Flow { .. } => "wrong_flow",
        }
    }
}

/// Text that came from outside, cut and escaped so that it can stand in one line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted(Box<str>);

impl Untrusted {
    const MOST: usize = 200;

    pub(crate) fn new(text: &str) -> Self {
        let mut escaped: String = text.chars().take(Self::MOST).flat_map(char::escape_debug).collect();
        if text.chars().nth(Self::MOST).is_some() {
            escaped.push('…');
        }
        Self(escaped.into())
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            item.fmt(f)?;
        }
        f.write_str("]")
    }
}

struct Maybe<'a>(Option<&'a Untrusted>);

impl fmt::Display for Maybe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(seen) => seen.fmt(f),
            None => f.write_str("(none)"),
        }
    }
}
