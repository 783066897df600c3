use std::fmt;
#[cfg(feature = "jwks")]
use std::sync::Arc;

use idnow_webhooks_core::keys::KeySetError;
use idnow_webhooks_core::{PolicyError, ReceiverError, WorkerError};
#[cfg(feature = "jwks")]
use idnow_webhooks_jwks::{ConfigError, FetchError, JwksError};

use super::store::OpenStoreError;

/// An environment variable that is missing or wrong. The text names it, its value and what is expected; the
/// values of secrets are not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SettingsError {
    variable: String,
    problem: String,
}

impl SettingsError {
    /// The variable that is missing or wrong.
    pub fn variable(&self) -> &str {
        &self.variable
    }

    pub(super) fn missing(variable: &str, expected: &str) -> Self {
        Self { variable: variable.to_owned(), problem: format!("is not set: expected {expected}") }
    }

    pub(super) fn wrong(variable: &str, value: &str, expected: impl fmt::Display) -> Self {
        Self { variable: variable.to_owned(), problem: format!("is {value:?}: expected {expected}") }
    }

    /// For secrets, whose value must not be shown.
    pub(super) fn wrong_secret(variable: &str, problem: impl fmt::Display) -> Self {
        Self { variable: variable.to_owned(), problem: format!("(value not shown): {problem}") }
    }

    #[cfg(feature = "jwks")]
    pub(super) fn wrong_location(variable: &str, value: &str, error: &ConfigError) -> Self {
        let shown = match error {
            // Where a text that is no URL would hold secrets, nobody can tell.
            ConfigError::InvalidUrl { .. } if value.contains(['@', '?', '#']) => {
                "(value not shown)".to_owned()
            }
            ConfigError::InvalidUrl { .. } => format!("is {value:?}"),
            // The others tell the URL themselves, without its secrets.
            _ => "cannot be used".to_owned(),
        };
        Self { variable: variable.to_owned(), problem: format!("{shown}: {error}") }
    }

    pub(super) fn empty(variable: &str, otherwise: &str) -> Self {
        let problem = format!("is set but empty: give a value, or unset it to {otherwise}");
        Self { variable: variable.to_owned(), problem }
    }

    pub(super) fn without(variable: &str, needed: &str) -> Self {
        let problem = format!("has no effect without {needed}: set that too, or unset this one");
        Self { variable: variable.to_owned(), problem }
    }

    pub(super) fn misspelt(variable: &str, meant: &str) -> Self {
        let problem =
            format!("is unknown and very like {meant}: if that is meant, correct the name, else unset it");
        Self { variable: variable.to_owned(), problem }
    }

    pub(super) fn two_places_of_keys(variable: &str, other: &str) -> Self {
        let problem =
            format!("cannot be set together with {other}: keys come from one place, so unset one of them");
        Self { variable: variable.to_owned(), problem }
    }

    pub(super) fn two_forms(variable: &str, file: &str) -> Self {
        let problem = format!("cannot be set together with {file}: unset one of them");
        Self { variable: variable.to_owned(), problem }
    }

    pub(super) fn two_environments(
        (variable, environment): (&str, &str),
        (other, its): (&str, &str),
    ) -> Self {
        let problem = format!(
            "belongs to {environment}, and {other} to {its}: take all of one environment, or unset one of them"
        );
        Self { variable: variable.to_owned(), problem }
    }

    pub(super) fn quoted(variable: &str) -> Self {
        let problem = "is in quotation marks, which would be part of its value: remove them (a shell does, Docker's \
                       --env-file does not)";
        Self { variable: variable.to_owned(), problem: problem.to_owned() }
    }

    /// `shown` is the path, or what stands in its place.
    pub(super) fn wrong_file(variable: &str, shown: &str, problem: &str) -> Self {
        Self { variable: variable.to_owned(), problem: format!("{shown} {problem}") }
    }

    /// The same for a value that came from a file.
    pub(super) fn in_file(self, variable: &str, shown: &str) -> Self {
        Self::wrong_file(variable, shown, &self.problem)
    }

    pub(super) fn not_text(variable: &str) -> Self {
        Self { variable: variable.to_owned(), problem: "is not UTF-8 text".to_owned() }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.variable, self.problem)
    }
}

/// As [`Display`](fmt::Display): it is what `fn main() -> Result<..>` shows.
impl fmt::Debug for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SettingsError {}

/// Settings that could be read, but not be put to work.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// What to believe cannot be decided.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The shared secret cannot be used.
    #[error("IDNOW_WEBHOOK_SECRET: {0}")]
    Secret(#[from] KeySetError),
    /// Keys from a key server or a file are configured, and the feature that brings them is not switched on.
    #[cfg(not(feature = "jwks"))]
    #[error(
        "{0}: this program was built without the feature `jwks` of idnow-webhooks, which brings keys from a key server \
         or a file; without it, only IDNOW_WEBHOOK_SECRET works"
    )]
    Feature(&'static str),
    /// The key file cannot be read, or holds no usable key.
    #[cfg(feature = "jwks")]
    #[error("IDNOW_JWKS_FILE: {0}")]
    KeyFile(#[source] Arc<FetchError>),
    /// The key source cannot be set up.
    #[cfg(feature = "jwks")]
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// The store cannot be opened.
    #[error("IDNOW_STORE: {0}")]
    Store(#[from] OpenStoreError),
    /// The worker cannot be started.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The receiver cannot be set up.
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
}

/// As [`Display`](fmt::Display): it is what `fn main() -> Result<..>` shows.
impl fmt::Debug for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "jwks")]
impl SetupError {
    pub(super) fn of_key_file(error: JwksError) -> Self {
        match error {
            JwksError::FirstFetch(error) => Self::KeyFile(error),
            other => Self::Keys(other),
        }
    }
}

#[cfg(feature = "jwks")]
impl From<ConfigError> for SetupError {
    fn from(error: ConfigError) -> Self {
        Self::Keys(error.into())
    }
}
