pub(crate) mod aborts;
pub(crate) mod changes;
pub(crate) mod claims;
pub(crate) mod clocks;
pub(crate) mod concurrency;
pub(crate) mod crowds;
pub(crate) mod extremes;
pub(crate) mod gaps;
pub(crate) mod handles;
pub(crate) mod inline;
pub(crate) mod insertion;
pub(crate) mod leases;
pub(crate) mod lists;
pub(crate) mod mixed;
pub(crate) mod model;
pub(crate) mod parked;
pub(crate) mod purges;
pub(crate) mod replays;
pub(crate) mod sessions;
pub(crate) mod strange;

mod prelude {
    pub(crate) use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
    pub(crate) use std::sync::{Arc, Mutex};
    pub(crate) use std::time::Duration;

    pub(crate) use idnow_webhooks_conformance::stores::{
        Chance, LEASE, Stage, event, ids, in_session, of, without_session,
    };
    pub(crate) use idnow_webhooks_core::store::{
        Backlog, Beginning, Claim, ClaimedEvent, EventFilter, EventState, EventStore, Evidence, Insertion,
        Lease, NewEvent, Order, ParkLimits, ParkOutcome, ParkedToken, Purge, Replay, SessionOrder,
        StoreError,
    };
    pub(crate) use idnow_webhooks_testkit::SampleEvent;

    /// So many seconds.
    pub(crate) fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// In sequence, and waiting so many seconds for one that is missing.
    pub(crate) fn grace(seconds: u64) -> SessionOrder {
        SessionOrder::Sequence { grace: Duration::from_secs(seconds) }
    }

    /// What was claimed: ids and places in their sessions.
    pub(crate) fn places(claimed: &[ClaimedEvent]) -> Vec<(&str, Order)> {
        claimed.iter().map(|event| (&*event.lease.event_id, event.order)).collect()
    }

    /// Runs these at once, and gives their results in order.
    pub(crate) async fn at_once<T: Send + 'static>(
        tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
    ) -> Vec<T> {
        let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        results
    }
}
