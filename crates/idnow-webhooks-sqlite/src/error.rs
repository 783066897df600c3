//! What can go wrong, in words that say what to do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use idnow_webhooks_core::store::StoreError;

/// A file that cannot be opened as a store.
///
/// `Debug` is the same text as `Display`: it is what a `main` that returns the error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder that should hold the file does not exist.
    #[error("cannot open {path:?}: there is no folder {folder:?}; create it, or correct the path")]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// The file does not exist, and [`create_if_missing`](crate::SqliteStoreBuilder::create_if_missing) is off.
    #[error("cannot open {path:?}: there is no file; correct the path")]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The operating system or SQLite refuses to open the file.
    #[error("cannot open {path:?}: {source}; check that it is a file, and its and its folder's permissions")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This user may not read and write the file, or its folder.
    #[error(
        "cannot open {path:?}: permission denied: run this as the user of the server, or allow this user to write \
         the file and its folder"
    )]
    PermissionDenied {
        /// The file.
        path: PathBuf,
    },
    /// The file, its folder or its file system cannot be written.
    #[error(
        "cannot write {path:?}: it, its folder or its file system is read-only; allow this user to write both"
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else than a database, or damaged.
    #[error("{path:?} is no SQLite database, or it is damaged: {source}; move it away or restore a backup")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process holds a lock on the file for longer than the busy time-out.
    #[error(
        "{path:?} was locked for longer than {waited:?}: another process is writing to it; end that, and try again"
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// The busy time-out.
        waited: Duration,
    },
    /// The file system is full.
    #[error("no space is left for {path:?}: free some, and try again")]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a newer version of this software.
    #[error(
        "{path:?} has version {found} of the tables, and this software knows them up to version {known}: run a \
         newer version of it"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The latest version that this software knows.
        known: i64,
    },
    /// The file is a database of something else, and
    /// [`create_if_missing`](crate::SqliteStoreBuilder::create_if_missing) is off.
    #[error("{path:?} is a database, but no store of idnow-webhooks; correct the path")]
    NoStore {
        /// The file.
        path: PathBuf,
    },
    /// SQLite does not keep a write-ahead log here: a network file system, for example.
    #[error(
        "{path:?} cannot be used with a write-ahead log (SQLite chose {mode:?} instead): put it on a local file \
         system, and close other programs that have it open"
    )]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
        /// The journal mode that SQLite chose.
        mode: String,
    },
    /// A setting is out of range.
    #[error("{setting} {problem}")]
    InvalidSetting {
        /// The builder's method.
        setting: &'static str,
        /// What is wrong, and which values are possible.
        problem: &'static str,
    },
    /// There is no Tokio runtime to run in.
    #[error("a store must be opened inside of a Tokio runtime")]
    NoRuntime,
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Something that SQLite could not do, and what that means for its connection.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) message: String,
    /// Whether the connection is as good as before. Any other is closed, and a new one opened at the next call: that
    /// is how the store recovers.
    pub(crate) connection_is_good: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), connection_is_good: false }
    }

    /// Nothing is wrong with the file; it is only somebody else's turn.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Self { message: message.into(), connection_is_good: true }
    }

    pub(crate) fn gone(path: &Path) -> Self {
        let path = path.display();
        Self::new(format!("{path} is gone: mount or restore it; to begin with an empty store, restart"))
    }

    pub(crate) fn of(path: &Path, busy_timeout: Duration, error: &sqlx::Error) -> Self {
        let path = path.display();
        match Cause::of(error) {
            Cause::Locked => Self::busy(format!(
                "{path} was locked by another connection for longer than {busy_timeout:?} ({error})"
            )),
            Cause::ReadOnly => Self::new(format!("{path} or its folder is read-only ({error})")),
            Cause::Full => Self::new(format!("no space is left for {path} ({error})")),
            Cause::InputOutput => Self::new(format!("reading or writing {path} failed ({error})")),
            Cause::Corrupt => Self::new(format!(
                "{path} is damaged: put a backup in its place, or repair it and restart ({error})"
            )),
            Cause::CannotOpen => Self::new(format!("{path} cannot be opened ({error})")),
            Cause::Other => Self::new(format!("SQLite failed on {path}: {error}")),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::unavailable(failure.message)
    }
}

impl From<&OpenError> for Failure {
    fn from(error: &OpenError) -> Self {
        match error {
            OpenError::NotFound { path } | OpenError::NoFolder { path, .. } => Self::gone(path),
            error => Self::new(error.to_string()),
        }
    }
}

/// SQLite's primary result codes, as far as they make a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Locked,
    ReadOnly,
    InputOutput,
    Corrupt,
    Full,
    CannotOpen,
    Other,
}

impl Cause {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => Self::Locked,
            Some(8) => Self::ReadOnly,
            Some(10) => Self::InputOutput,
            Some(11 | 26) => Self::Corrupt,
            Some(13) => Self::Full,
            Some(14) => Self::CannotOpen,
            _ => Self::Other,
        }
    }
}
