use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Why the sandbox did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such thing, or not any more.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// What was looked for: `flow`, `endpoint`, `session`, `event`, `delivery`, `attempt` or `key`.
        what: &'static str,
        /// What it was looked for by.
        id: String,
    },
    /// A value that cannot be accepted, of a call or of a setting.
    #[error("{field}: {reason}")]
    Invalid {
        /// Its name: of a setting, the builder's method; of a call, as JSON spells it.
        field: &'static str,
        /// What is wrong with it, and what is right.
        reason: String,
    },
    /// The call does not fit how things are now.
    #[error("{reason}")]
    Conflict {
        /// Why not.
        reason: String,
    },
    /// The sandbox cannot do it now: the disk is full, for example, or it is stopping. Nothing was changed, unless the
    /// process or the disk failed in the moment of the commit.
    #[error("{0}")]
    Unavailable(#[source] Unavailable),
}

impl Error {
    pub(crate) fn not_found(what: &'static str, id: impl fmt::Display) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }

    pub(crate) fn conflict(reason: impl Into<String>) -> Self {
        Self::Conflict { reason: reason.into() }
    }

    pub(crate) fn unavailable(doing: impl Into<String>) -> Self {
        Self::Unavailable(Unavailable { doing: doing.into(), source: None })
    }

    /// `doing` is what failed; the cause is told after it.
    pub(crate) fn unavailable_because(
        doing: impl Into<String>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable(Unavailable { doing: doing.into(), source: Some(Arc::new(source)) })
    }
}

/// What failed, and why.
#[derive(Debug, Clone)]
pub struct Unavailable {
    doing: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.doing),
            None => f.write_str(&self.doing),
        }
    }
}

impl StdError for Unavailable {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
