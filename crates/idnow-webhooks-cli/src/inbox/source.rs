//! Which store, and how it is opened: never created, and never purged behind the server's back.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use idnow_webhooks::postgres::PostgresStore;
use idnow_webhooks::settings::Store;
use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::store::{EventStore, Retention};
use url::Url;

use super::Failure;

pub(super) const VARIABLE: &str = "IDNOW_STORE";

/// A store, and who named it. `Display` shows what an operator knows it by, without user and password.
#[derive(Debug)]
pub(super) struct Source {
    store: Store,
    named_by: &'static str,
}

const OPTION: &str = "--store";
const DEFAULT: &str = "the default";

impl Source {
    /// From the option, or else the environment variable. Errors do not show the text: it may hold a password.
    pub(super) fn find(option: Option<String>, variable: Option<OsString>) -> Result<Self, String> {
        let (named_by, text) = match (option, variable) {
            (Some(text), _) => (OPTION, text),
            (None, Some(text)) => {
                (VARIABLE, text.into_string().map_err(|_| format!("{VARIABLE} is no valid UTF-8"))?)
            }
            (None, None) => return Ok(Self { store: Store::default(), named_by: DEFAULT }),
        };
        match text.trim().parse() {
            Ok(Store::Memory) => Err(format!(
                "{named_by} is \"memory\": such a store lives inside of the server's process, where no other program \
                 can look; events that operators can see need `sqlite:PATH` or `postgres://...`"
            )),
            Ok(store) => Ok(Self { store, named_by }),
            Err(_) => Err(format!(
                "{named_by} names no store: expected `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`"
            )),
        }
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
            other => Ok(other.open(Retention::FOREVER).await.map_err(|error| self.explain(error))?),
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
