//! Which store, and how it is opened.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use idnow_webhooks_core::Secret;
use idnow_webhooks_core::store::{EventStore, MemoryStore};
#[cfg(feature = "postgres")]
use idnow_webhooks_postgres::PostgresStore;
#[cfg(feature = "sqlite")]
use idnow_webhooks_sqlite::SqliteStore;

use super::value::Variables;
use super::{Settings, SettingsError, SetupError};

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
#[error("expected {EXPECTED}{hint}")]
pub struct UnknownStore {
    hint: &'static str,
}

impl FromStr for Store {
    type Err = UnknownStore;

    fn from_str(text: &str) -> Result<Self, UnknownStore> {
        let unknown = |hint| Err(UnknownStore { hint });
        if text == "memory" {
            return Ok(Self::Memory);
        }
        match text.split_once(':') {
            Some(("sqlite", path)) => {
                // As in a URL, two slashes may stand before the path.
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.contains(":memory:") || path.contains("mode=memory") {
                    return unknown("; for a store in memory, which is for tests, set it to memory");
                }
                if path.contains('?') {
                    return unknown(
                        "; PATH is that of a file, without parameters: leave out what follows the ?",
                    );
                }
                if path.starts_with("file:") {
                    return unknown("; PATH is that of a file: leave out file:");
                }
                if path.is_empty() { unknown("") } else { Ok(Self::Sqlite(path.into())) }
            }
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.into()))
            }
            _ => unknown(""),
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
    /// What `IDNOW_STORE`, or the file in `IDNOW_STORE_FILE`, names; `None` if neither is there. For programs that need
    /// nothing but the store: a server has it in its [`Settings`].
    ///
    /// # Errors
    ///
    /// One of the two is wrong.
    pub fn from_variables(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Option<Self>, SettingsError> {
        const NAME: &str = "IDNOW_STORE";
        let variables =
            variables.into_iter().filter(|(name, _)| [NAME, "IDNOW_STORE_FILE"].contains(&name.as_str()));
        let read = Variables::new(variables)?;
        read.given_store(NAME).map_err(|error| read.name_source(error))
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn is_not(&self, expected: &'static str) -> OpenStoreError {
        let found = match self {
            Self::Memory => "memory",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        };
        OpenStoreError::OtherKind { expected, found }
    }
}

/// A store that is open, and what an operator knows it by: never a password.
pub(super) struct OpenStore {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) shown: String,
}

impl OpenStore {
    /// One that the user has opened.
    pub(super) fn own(store: impl EventStore) -> Self {
        let shown = format!("{store:?}");
        Self { store: Arc::new(store), shown }
    }
}

impl Settings {
    /// Opens the store, and brings its schema up to date.
    pub async fn open_store(&self) -> Result<Arc<dyn EventStore>, SetupError> {
        Ok(self.open().await?.store)
    }

    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(clippy::unused_async, reason = "memory opens at once")
    )]
    pub(super) async fn open(&self) -> Result<OpenStore, SetupError> {
        match &self.store {
            Store::Memory => {
                Ok(OpenStore { store: Arc::new(MemoryStore::new()), shown: "memory".to_owned() })
            }
            #[cfg(feature = "sqlite")]
            Store::Sqlite(path) => {
                let store = self.open_sqlite().await?;
                // It was opened there, so it has one.
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                Ok(OpenStore { store: Arc::new(store), shown: format!("sqlite:{}", path.display()) })
            }
            #[cfg(feature = "postgres")]
            Store::Postgres(_) => {
                let store = self.open_postgres().await?;
                let options = store.pool().connect_options();
                let host = match options.get_socket() {
                    Some(folder) => folder.display().to_string(),
                    None => options.get_host().to_owned(),
                };
                // As PostgreSQL takes it.
                let database = options.get_database().unwrap_or(options.get_username());
                let shown = format!("postgres://{host}:{}/{database}", options.get_port());
                Ok(OpenStore { store: Arc::new(store), shown })
            }
            #[cfg(not(feature = "sqlite"))]
            Store::Sqlite(_) => Err(OpenStoreError::Feature("sqlite").into()),
            #[cfg(not(feature = "postgres"))]
            Store::Postgres(_) => Err(OpenStoreError::Feature("postgres").into()),
        }
    }

    /// Opens the store in a SQLite file with all that is configured of it: for handlers that take part in its
    /// [transactions](idnow_webhooks_sqlite::SqliteStore::transaction). See [exactly once](crate#exactly-once).
    ///
    /// # Errors
    ///
    /// `IDNOW_STORE` names a store of another kind, or the file cannot be used.
    #[cfg(feature = "sqlite")]
    pub async fn open_sqlite(&self) -> Result<SqliteStore, SetupError> {
        let Store::Sqlite(path) = &self.store else {
            return Err(self.store.is_not("sqlite:PATH").into());
        };
        let store = SqliteStore::builder(path).retention(self.retention);
        store.open().await.map_err(|error| OpenStoreError::from(error).into())
    }

    /// Opens the store in a PostgreSQL database with all that is configured of it: for handlers that take part in its
    /// [transactions](idnow_webhooks_postgres::PostgresStore::transaction). See [exactly once](crate#exactly-once).
    ///
    /// # Errors
    ///
    /// `IDNOW_STORE` names a store of another kind, or the database cannot be used.
    #[cfg(feature = "postgres")]
    pub async fn open_postgres(&self) -> Result<PostgresStore, SetupError> {
        let Store::Postgres(url) = &self.store else {
            return Err(self.store.is_not("postgres://USER:PASSWORD@HOST/DATABASE").into());
        };
        let url = std::str::from_utf8(url.expose()).unwrap_or_default();
        let store = PostgresStore::builder().retention(self.retention).pool_size(self.store_pool);
        store.connect(url).await.map_err(|error| OpenStoreError::from(error).into())
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
    /// The program needs a store of another kind than the one that is configured.
    #[error("this program needs a store of another kind: expected {expected}, found one of the kind {found}")]
    OtherKind {
        /// What its text looks like.
        expected: &'static str,
        /// What the configured one's text begins with.
        found: &'static str,
    },
    /// The SQLite file cannot be used.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Sqlite(#[from] idnow_webhooks_sqlite::OpenError),
    /// The PostgreSQL database cannot be used.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] idnow_webhooks_postgres::ConnectError),
}
