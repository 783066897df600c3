//! What can go wrong, in words that say what to do, and never an address or a password.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use idnow_webhooks_core::store::StoreError;

/// A database that cannot be opened as a store.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not one of a PostgreSQL database.
    #[error(
        "this is no address of a PostgreSQL database ({0}): write it as postgres://user:password@host/database"
    )]
    Address(String),
    /// The server cannot be reached, or does not let us in, or does not do what the store needs.
    #[error("{0}")]
    Unavailable(String),
    /// The tables were made by a newer version of this software.
    #[error(
        "the tables in schema {schema:?} have version {found}, and this software knows them up to version {known}: \
         run a newer version of it"
    )]
    NewerSchema {
        /// The schema of the database.
        schema: String,
        /// The version of the tables.
        found: i32,
        /// The latest version that this software knows.
        known: i32,
    },
    /// The database has no tables of a store, and
    /// [`create_if_missing`](crate::PostgresStoreBuilder::create_if_missing) is off.
    #[error(
        "this database has none of the tables of a store of idnow-webhooks: correct the address, or the search_path; \
         the receiver makes them when it starts"
    )]
    NoStore,
    /// No schema of the search path exists, so there is no place for the tables.
    #[error(
        "the connection's search_path names no schema that exists: create one, or correct the search_path"
    )]
    NoSchema,
    /// The pool's connections find other tables than those made with its connect options.
    #[error(
        "the pool's connections do not find the tables in schema {0:?}: set the search_path in the pool's connect \
         options, not in one of its hooks"
    )]
    SearchPath(String),
    /// The database cannot hold every text.
    #[error(
        "the database has the encoding {0}, which cannot hold every text: create it with ENCODING 'UTF8'"
    )]
    Encoding(String),
    /// The server is too old.
    #[error("the server is PostgreSQL {0}: version 12 or later is needed")]
    TooOld(String),
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

/// As [`Display`](fmt::Display): it is what `fn main() -> Result<..>` shows.
impl fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What `what` failed with, for the log.
pub(crate) fn explain(what: &str, error: &sqlx::Error) -> String {
    let error = cause(error);
    let cause = match error {
        sqlx::Error::PoolTimedOut => {
            "no connection became free in time: the server is down, or all connections of the pool are in use"
        }
        sqlx::Error::PoolClosed => "the pool of connections was closed",
        sqlx::Error::Io(_) => "the connection to the server cannot be made, or was lost",
        sqlx::Error::Database(_) => match code(error).as_deref() {
            Some("53100") => "the server's disk is full: free some space",
            Some("53200" | "53300" | "53400") => "the server has no room for another connection or statement",
            Some("25006") => {
                "the server, or the database, is read-only: it is a standby, so address the primary; or it is set so"
            }
            Some("57P01" | "57P02" | "57P03") => {
                "the server is starting or stopping, or ended the connection"
            }
            Some("57014") => "the server took too long",
            Some("55P03" | "40P01") => "somebody else holds a lock for too long",
            Some("42501") => "this user lacks a right: grant it",
            Some("42P01" | "3F000") => {
                "a table is missing: restore it, or, to begin with an empty store, drop the others whose names begin \
                 with idnow_webhooks_ and restart; or correct the search_path"
            }
            Some("25P02") => "an earlier statement of the transaction failed",
            Some(code) if code.starts_with("28") => "the server does not let this user in",
            _ => "the server refused a statement",
        },
        _ => return format!("{what}: {error}"),
    };
    match error {
        sqlx::Error::Database(database) => {
            let code = code(error).unwrap_or_default();
            format!("{what}: {cause} ({}, SQLSTATE {code})", database.message())
        }
        sqlx::Error::Io(error) => format!("{what}: {cause} ({error})"),
        _ => format!("{what}: {cause}"),
    }
}

pub(crate) fn unavailable(what: &str, error: &sqlx::Error) -> StoreError {
    StoreError::unavailable(explain(what, error))
}

pub(crate) fn too_slow(what: &str, limit: Duration) -> String {
    format!("{what}: the server did not answer within {limit:?}")
}

/// Whether one row of several is the cause, so that the others may succeed without it.
pub(crate) fn is_of_one_row(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
}

/// Whether another transaction has changed what this one has seen.
pub(crate) fn is_serialization_failure(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| code == "40001")
}

pub(crate) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// What an attempt to connect has failed with, for all who learn of it.
#[derive(Debug)]
struct Cause(Arc<sqlx::Error>);

pub(crate) fn known(why: Arc<sqlx::Error>) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other(Cause(why)))
}

/// The error that was the cause, if somebody else has come upon it.
fn cause(error: &sqlx::Error) -> &sqlx::Error {
    let sqlx::Error::Io(io) = error else { return error };
    io.get_ref().and_then(|inner| inner.downcast_ref()).map_or(error, |Cause(why)| why)
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {}
