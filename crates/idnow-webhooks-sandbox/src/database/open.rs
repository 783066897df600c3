//! How the file is opened, and what its failures mean.

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};

use super::PATIENCE;
use super::file::OwnFile;
use super::schema::{self, Found, KNOWN};
use super::unit::Fault;
use crate::error::Error;

/// Pages in the write-ahead log, 4 KiB each, after which they are copied into the file.
const CHECKPOINT_PAGES: &str = "8000";
/// What the log is cut to once its pages are copied, in bytes, if a long read let it grow.
const LOG_SIZE: &str = "67108864";
/// The writer's memory for pages, in KiB, negative by SQLite's convention.
const WRITER_CACHE: &str = "-16384";

pub(super) fn options(file: &OwnFile) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file.path()).busy_timeout(PATIENCE).disable_statement_logging()
}

/// The connection that writes.
pub(super) async fn connect(file: &OwnFile) -> Result<SqliteConnection, Error> {
    let failed = |error| failure(file, error);
    let synchronous = if file.is_temporary() { SqliteSynchronous::Off } else { SqliteSynchronous::Full };
    let options = options(file)
        .synchronous(synchronous)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_SIZE)
        // So that nothing is left of a secret that was deleted. "FAST" would leave what fills pages of its own.
        .pragma("secure_delete", "ON")
        .pragma("cache_size", WRITER_CACHE);
    let mut connection = options.connect().await.map_err(failed)?;
    // A file that is not ours must stay as it is, so its journal's mode is changed after it was looked at.
    match schema::migrate(&mut connection).await.map_err(failed)? {
        Found::Usable => {}
        Found::Newer(version) => {
            let path = file.path().display();
            return Err(Error::unavailable(format!(
                "{path} has version {version} of the tables, and this software knows them up to version {KNOWN}: run \
                 a newer version of it"
            )));
        }
        Found::Foreign => {
            let path = file.path().display();
            return Err(Error::invalid(
                "database",
                format!("{path} is a database, but not a sandbox's: choose another file"),
            ));
        }
    }
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(&mut connection).await.map_err(failed)?;
    if mode != "wal" {
        let path = file.path().display();
        return Err(Error::unavailable(format!(
            "{path} cannot be used with a write-ahead log (SQLite chose {mode:?} instead): put it on a local file system"
        )));
    }
    Ok(connection)
}

pub(super) fn fault(file: &OwnFile, fault: Fault) -> Error {
    match fault {
        Fault::Refused(error) => error,
        Fault::Database(error) => failure(file, error),
    }
}

/// Whether it is of one call alone: of what it reads or writes, and neither of the disk nor of the file.
pub(super) fn is_of_one_call(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => !matches!(code(error), None | Some(5..=10 | 13 | 14 | 26)),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => false,
        _ => true,
    }
}

/// SQLite's, without its details.
fn code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}

/// Says what to do, if that can be told.
pub(super) fn failure(file: &OwnFile, error: sqlx::Error) -> Error {
    let path = file.path().display();
    let doing = match code(&error) {
        Some(5 | 6) => format!("{path} was locked by another program for longer than {PATIENCE:?}"),
        Some(8) => format!("{path} or its folder is read-only"),
        Some(10) => format!("reading or writing {path} failed"),
        Some(11 | 26) => {
            format!("{path} is no SQLite database, or it is damaged: move it away or restore a backup")
        }
        Some(13) => format!("no space is left for {path}"),
        Some(14) => format!("{path} cannot be opened"),
        _ => format!("the database {path} failed"),
    };
    Error::unavailable_because(doing, error)
}
