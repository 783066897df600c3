//! Durable event store of the idnow-webhooks SDK in one embedded SQLite file: for everything that runs on one machine.
//!
//! [`SqliteStore`] is an [`EventStore`](idnow_webhooks_core::store::EventStore). It needs no server and no set-up.
//!
//! - **Durable**: a delivery is answered 2xx only after its event is synced to disk (write-ahead log,
//!   `synchronous=FULL`). Insertions at the same time share one sync.
//! - **Exactly once**: a handler that writes to the same file does so in a [`SqliteTransaction`], together with the note
//!   that its event is handled.
//! - **Your own tables** can be in the same file; the store's names begin with `idnow_webhooks_`.
//!
//! Put the file on a local disk: SQLite's locks and its write-ahead log do not work over a network.

mod begun;
mod builder;
mod compact;
mod database;
mod error;
mod files;
mod json;
mod medium;
mod merge;
mod ops;
mod recent;
mod retention;
mod schema;
mod settings;
mod store;
mod transaction;
mod unit;
mod writer;

pub use builder::SqliteStoreBuilder;
pub use error::OpenError;
pub use sqlx;
pub use store::SqliteStore;
pub use transaction::SqliteTransaction;
