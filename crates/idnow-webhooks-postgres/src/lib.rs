//! Durable event store of the idnow-webhooks SDK in PostgreSQL, shared by many replicas.
//!
//! [`PostgresStore`] is an [`EventStore`]. What it answers for:
//!
//! - **Nothing is lost.** An insertion returns after its commit is on the server's disk (`synchronous_commit = on`,
//!   whatever the database is set to). Concurrent insertions share commits; one alone does not wait for others.
//! - **Nothing is handled twice at once.** Replicas never hold a lease on the same event. All times are the server's, so
//!   their clocks do not matter.
//! - **Sessions stay in order.** Two replicas never take two events of one session, if the worker heeds the order.
//! - **Effects happen once.** A handler's writes and the completion of its event can share one transaction: see
//!   [`PostgresStore::transaction`].
//! - **It recovers by itself.** While the server is down, full or read-only, calls fail with
//!   [`StoreError::Unavailable`], and the provider delivers again later. Once an attempt to connect has failed, calls
//!   fail at once; two attempts a second find out when the server is back.
//!
//! Workers hear of new events at once, from other processes by `LISTEN` and `NOTIFY`, and by looking once a second while
//! that connection is lost. A pooler between the store and the server must give each of its connections one of the
//! server's for as long as it is open (session mode): in transaction mode, notifications reach the wrong ones, and calls
//! fail.
//!
//! The tables `idnow_webhooks_events` (what came), `idnow_webhooks_states` (where each event stands),
//! `idnow_webhooks_parked` (genuine tokens that do not fit the receiver's settings) and `idnow_webhooks_schema` are made at
//! start, next to your own if you like. The user needs `CREATE` on the schema only for that; afterwards `SELECT`,
//! `INSERT`, `UPDATE` and `DELETE` on these four.
//!
//! [`EventStore`]: idnow_webhooks_core::store::EventStore
//! [`StoreError::Unavailable`]: idnow_webhooks_core::store::StoreError::Unavailable

mod address;
mod begin;
mod builder;
mod claim;
mod connections;
mod core;
mod error;
mod floor;
mod insert;
mod key;
mod listen;
mod open;
mod operators;
mod parked;
mod retention;
mod schema;
mod settle;
mod store;
mod transaction;
mod work;

pub use builder::PostgresStoreBuilder;
pub use error::ConnectError;
/// The sqlx of this crate: pools and the queries in a [`PostgresTransaction`] must be of this very version.
pub use sqlx;
pub use store::PostgresStore;
pub use transaction::PostgresTransaction;
