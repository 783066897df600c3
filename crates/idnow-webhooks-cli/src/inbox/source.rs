//! Which store, and how it is opened: never created, and never purged behind the server's back.

use std::fmt;
use std::sync::Arc;

use idnow_webhooks::postgres::PostgresStore;
use idnow_webhooks::settings::Store;
use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::store::{EventStore, Retention};
use url::Url;

use super::Failure;

/// A store, and who named it. `Display` shows what an operator knows it by, without user and password.
#[derive(Debug)]
pub(super) struct Source {
    store: Store,
    named_by: &'static str,
}

const OPTION: &str = "--store";
const VARIABLE: &str = "IDNOW_STORE";
const FILE: &str = "IDNOW_STORE_FILE";
const DEFAULT: &str = "the default";

impl Source {
    /// From the option, or else from the variables of the environment. Errors do not show the text: it may hold a
    /// password.
    pub(super) fn find(option: Option<String>, variables: Vec<(String, String)>) -> Result<Self, String> {
        let (named_by, store) = if let Some(text) = option {
            let store = text.trim().parse();
            (OPTION, store.map_err(|error| format!("{OPTION} names no store: {error}"))?)
        } else {
            let named_by = if variables.iter().any(|(name, _)| name == FILE) { FILE } else { VARIABLE };
            match Store::from_variables(variables).map_err(|error| error.to_string())? {
                Some(store) => (named_by, store),
                None => (DEFAULT, Store::default()),
            }
        };
        if matches!(store, Store::Memory) {
            return Err(format!(
                "{named_by} is \"memory\": such a store lives inside of the server's process, where no other program \
                 can look; events that operators can see need `sqlite:PATH` or `postgres://...`"
            ));
        }
        Ok(Self { store, named_by })
    }

    pub(super) async fn open(&self) -> Result<Arc<dyn EventStore>, Failure> {
        match &self.store {
            Store::Sqlite(path) => {
                let store = SqliteStore::builder(path).retention(Retention::FOREVER).create_if_missing(false);
                Ok(Arc::new(store.open().await.map_err(|error| self.explain(error))?))
            }
            Store::Postgres(url) => {
                let url = std::str::from_utf8(url.expose()).unwrap_or_default();
                let store = PostgresStore::builder().retention(Retention::FOREVER).create_if_missing(false);
                Ok(Arc::new(store.connect(url).await.map_err(|error| self.explain(error))?))
            }
            other => Err(self.explain(format!("this program cannot open {other:?}")).into()),
        }
    }

    fn explain(&self, error: impl fmt::Display) -> String {
        format!("{error} (the store is {self}, by {})", self.named_by)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.store {
            Store::Sqlite(path) => write!(f, "{}", path.display()),
            Store::Postgres(url) => {
                let url = std::str::from_utf8(url.expose()).ok().and_then(|url| Url::parse(url).ok());
                let host = url.as_ref().and_then(Url::host_str).unwrap_or("the default host");
                let database = url.as_ref().map_or("", Url::path).trim_start_matches('/');
                let database = if database.is_empty() { "of the user" } else { database };
                write!(f, "the PostgreSQL database {database} on {host}")
            }
            other => write!(f, "{other:?}"),
        }
    }
}
