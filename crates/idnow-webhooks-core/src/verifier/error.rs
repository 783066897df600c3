use std::fmt;

use crate::keys::Algorithm;
use crate::token::TokenError;

/// Why a token is not believed. The text is for the receiver's own log: it is never part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The text is not a token at all.
    #[error(transparent)]
    Malformed(#[from] TokenError),
    /// `alg` is not on the allow list. Among others, this refuses `none` and every confusion of algorithms.
    #[error("algorithm: expected one of {}, seen {seen}", List(expected))]
    Algorithm {
        /// The allow list.
        expected: Vec<Algorithm>,
        /// What the token says.
        seen: Seen,
    },
    /// A claim that must be there is not.
    #[error("claim `{0}` is missing")]
    MissingClaim(&'static str),
    /// `iss` is not a configured issuer.
    #[error("issuer: expected one of {}, seen {seen}", List(expected))]
    Issuer {
        /// The configured issuers.
        expected: Vec<String>,
        /// What the token says.
        seen: Seen,
    },
    /// `aud` holds no configured audience.
    #[error("audience: expected one of {}, seen {}", List(expected), List(seen))]
    Audience {
        /// The configured audiences.
        expected: Vec<String>,
        /// What the token says, at most five.
        seen: Vec<Seen>,
    },
    /// `exp` has passed.
    #[error("expired {seconds_ago} s ago, leeway is {leeway} s")]
    Expired {
        /// Seconds since `exp`.
        seconds_ago: i64,
        /// The configured leeway in seconds.
        leeway: i64,
    },
    /// The token is genuine, but `iat` lies in the future: one of the two clocks is wrong.
    #[error("issued {seconds_ahead} s in the future, leeway is {leeway} s: compare the clocks")]
    NotYetIssued {
        /// Seconds until `iat`.
        seconds_ahead: i64,
        /// The configured leeway in seconds.
        leeway: i64,
    },
    /// The token is genuine, but `nbf` lies in the future.
    #[error("valid only in {seconds_ahead} s, leeway is {leeway} s: compare the clocks")]
    NotYetValid {
        /// Seconds until `nbf`.
        seconds_ahead: i64,
        /// The configured leeway in seconds.
        leeway: i64,
    },
    /// `exp` is not after `iat`, or the two are too far apart.
    #[error("lives for {seconds} s, expected 1 to {most} s")]
    Lifetime {
        /// `exp` minus `iat`.
        seconds: i64,
        /// The longest lifetime that is accepted.
        most: i64,
    },
    /// `iat` lies too far in the past.
    #[error("issued {seconds} s ago, at most {most} s are accepted, leeway is {leeway} s")]
    TooOld {
        /// Seconds since `iat`.
        seconds: i64,
        /// The configured maximum age in seconds.
        most: i64,
        /// The configured leeway in seconds.
        leeway: i64,
    },
    /// The keys at hand do not hold the one that the token names.
    #[error("key: no {algorithm} key with id {}, known ids are {}", Maybe(key_id.as_ref()), List(known))]
    UnknownKey {
        /// `kid`.
        key_id: Option<Seen>,
        /// `alg`.
        algorithm: Algorithm,
        /// The ids of the keys at hand, at most twenty.
        known: Vec<Seen>,
    },
    /// The signature is not that of the key that the token names.
    #[error("signature: does not hold under the {algorithm} key with id {}", Maybe(key_id.as_ref()))]
    Signature {
        /// `kid`.
        key_id: Option<Seen>,
        /// `alg`.
        algorithm: Algorithm,
    },
}

impl VerifyError {
    /// A stable name of the check that failed, for logs and metrics.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "form",
            Self::Algorithm { .. } => "algorithm",
            Self::MissingClaim(_) => "claim",
            Self::Issuer { .. } => "issuer",
            Self::Audience { .. } => "audience",
            Self::Expired { .. } => "expiry",
            Self::NotYetIssued { .. } | Self::NotYetValid { .. } => "not_yet",
            Self::Lifetime { .. } => "lifetime",
            Self::TooOld { .. } => "age",
            Self::UnknownKey { .. } => "key",
            Self::Signature { .. } => "signature",
        }
    }
}

/// Text that a stranger chose, cut and escaped so that it can stand in one line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen(Box<str>);

impl Seen {
    const MOST: usize = 200;

    pub(crate) fn new(text: &str) -> Self {
        let mut escaped: String = text.chars().take(Self::MOST).flat_map(char::escape_debug).collect();
        if text.chars().nth(Self::MOST).is_some() {
            escaped.push('…');
        }
        Self(escaped.into())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

pub(super) fn seconds_between(earlier: i64, later: i64) -> i64 {
    later.saturating_sub(earlier)
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

struct Maybe<'a>(Option<&'a Seen>);

impl fmt::Display for Maybe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(seen) => seen.fmt(f),
            None => f.write_str("(none)"),
        }
    }
}
