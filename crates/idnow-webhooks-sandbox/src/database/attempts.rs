//! Attempts: what is due becomes one, and gets its outcome.
//!
//! This is what a sandbox does most. So all attempts of a batch are written by the same few statements: rows go to SQLite
//! as one JSON array, and come back as few as possible.

mod read;
mod record;
mod take;

use std::sync::Arc;

use uuid::Uuid;

use super::taken::{Loose, Orphans};
use crate::clock::Micros;
use crate::model::{DeadReason, DeliveryState};

pub(super) use read::{LAST_ANSWERED, NAMED, PAST, perhaps_past};
pub(crate) use read::{Past, list};
pub(super) use record::{Recover, give_up, record};
pub(super) use take::take;
#[cfg(test)]
pub(super) use {
    read::list_query,
    record::{ATTEMPTED, CUT_OFF, DUE_AGAIN, FOLLOWED},
    take::{BEGIN, BEYOND, PUT_OFF, WAITING},
};

#[derive(Debug)]
pub(crate) struct Taking {
    pub(crate) endpoint: Uuid,
    pub(crate) limit: u32,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) delivery: i64,
    pub(crate) number: u32,
    pub(crate) endpoint: Uuid,
    pub(crate) took: Micros,
    /// JSON.
    pub(crate) answer: String,
    /// JSON, if there were any.
    pub(crate) faults: Option<String>,
    /// The key that signed, if it is another than when the attempt was taken.
    pub(crate) key: Option<i64>,
    /// When it was signed, if another time than when the attempt was taken.
    pub(crate) signed_at: Option<Micros>,
    pub(crate) state: DeliveryState,
    pub(crate) next_at: Option<Micros>,
    pub(crate) dead_reason: Option<DeadReason>,
    /// As long as this is in the queue, the attempt is not given up.
    pub(crate) loose: Loose,
}

/// What holds for all attempts.
#[derive(Debug)]
pub(super) struct Terms {
    /// What the tokens name as their issuer.
    pub(super) issuer: i64,
    /// No delivery waits longer than this for its next attempt.
    pub(super) longest_wait: Micros,
    pub(super) orphans: Arc<Orphans>,
}
