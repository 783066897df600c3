use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use idnow_webhooks_core::Secret;
use idnow_webhooks_core::store::{EventStore, MemoryStore, Retention};

/// Where events are remembered. `Debug` does not show what a URL may hold of a password.
#[derive(Clone)]
#[non_exhaustive]
pub enum Store {
    /// `memory`: forgotten when the process ends.
    Memory,
    /// `sqlite:PATH`: one file on this machine, with the feature `sqlite`.
    Sqlite(PathBuf),
    /// `postgres://USER:PASSWORD@HOST/DATABASE`: a PostgreSQL database that many replicas share, with the feature
    /// `postgres`.
    Postgres(Secret),
}

/// What the text of a [`Store`] looks like.
pub(super) const EXPECTED: &str = "sqlite:PATH, postgres://USER:PASSWORD@HOST/DATABASE or memory";

/// A text that names no [`Store`]. The text is not shown: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {EXPECTED}")]
pub struct UnknownStore;

impl FromStr for Store {
    type Err = UnknownStore;

    fn from_str(text: &str) -> Result<Self, UnknownStore> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        match text.split_once(':') {
            Some(("sqlite", path)) => {
                // As in a URL, two slashes may stand before the path.
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() { Err(UnknownStore) } else { Ok(Self::Sqlite(path.into())) }
            }
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.into()))
            }
            _ => Err(UnknownStore),
        }
    }
}

/// With the feature `sqlite` only: no other store keeps events without being told where.
#[cfg(feature = "sqlite")]
impl Default for Store {
    /// The file `idnow-webhooks.db` in the working directory.
    fn default() -> Self {
        Self::Sqlite("idnow-webhooks.db".into())
    }
}

impl Store {
    /// Opens the store, and brings its schema up to date. Completed events are kept for `retention`; in memory, by
    /// number.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(
            unused_variables,
            clippy::unused_async,
            reason = "memory forgets by number, and opens at once"
        )
    )]
    pub async fn open(&self, retention: Retention) -> Result<Arc<dyn EventStore>, OpenStoreError> {
        match self {
            Self::Memory => Ok(Arc::new(MemoryStore::new())),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => {
                let store = idnow_webhooks_sqlite::SqliteStore::builder(path).retention(retention);
                Ok(Arc::new(store.open().await?))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => {
                let url = std::str::from_utf8(url.expose()).unwrap_or_default();
                let store = idnow_webhooks_postgres::PostgresStore::builder().retention(retention);
                Ok(Arc::new(store.connect(url).await?))
            }
            #[cfg(not(feature = "sqlite"))]
            Self::Sqlite(_) => Err(OpenStoreError::Feature("sqlite")),
            #[cfg(not(feature = "postgres"))]
            Self::Postgres(_) => Err(OpenStoreError::Feature("postgres")),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("Memory"),
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => f.write_str("Postgres(..)"),
        }
    }
}

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenStoreError {
    /// The feature that brings this store is not switched on.
    #[error("this program was built without the feature `{0}` of idnow-webhooks, which brings this store")]
    Feature(&'static str),
    /// The SQLite file cannot be used.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Sqlite(#[from] idnow_webhooks_sqlite::OpenError),
    /// The PostgreSQL database cannot be used.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] idnow_webhooks_postgres::ConnectError),
}
