//! What all parts of a store share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use idnow_webhooks_core::Clock;
use idnow_webhooks_core::store::Retention;
use sqlx::PgPool;
use tokio::sync::{Mutex, Notify};

use crate::connections::Connections;
use crate::floor::Floor;
use crate::open::Open;
use crate::schema::Schema;
use crate::work::Alone;

pub(crate) struct Core {
    /// For the store's own work: handlers can never take all of its connections.
    pub(crate) own: Connections,
    /// For handlers.
    pub(crate) handlers: PgPool,
    pub(crate) open: Open,
    /// For what may take long: one at a time, so that connections are left for the rest.
    pub(crate) patience: Mutex<()>,
    /// For parking: one call at a time, since they wait for each other in the database, and each would hold a connection
    /// meanwhile.
    pub(crate) parking: Mutex<()>,
    pub(crate) schema: Schema,
    pub(crate) retention: Retention,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) bell: Bell,
    pub(crate) floor: Floor,
    /// What to tell other processes.
    pub(crate) news: Notify,
}

impl Core {
    /// The time, if it is not the server's.
    pub(crate) fn now(&self) -> Option<DateTime<Utc>> {
        self.clock.as_ref().map(Clock::now)
    }

    /// For what ends the run of an event, and so lets the next of its session run.
    ///
    /// A claim that finds an event held back by another notes to look at it later. If that other one ended just then,
    /// unseen by the claim, nobody would look again in time. So one excludes the other.
    pub(crate) fn settling(&self) -> Alone {
        Alone::Shared(self.schema.key)
    }

    /// For claims in order: two that judge at once could take two events of one session. Claims are few, each takes
    /// many events, and they never wait for anything while they hold this.
    pub(crate) fn claiming(&self) -> Alone {
        Alone::Exclusive(self.schema.key)
    }

    /// For parking a token: otherwise the limits would not hold, and positions could appear out of order.
    pub(crate) fn park_lock(&self) -> Alone {
        Alone::Exclusive(self.schema.key.wrapping_add(1))
    }

    /// Events may be due, for workers here and elsewhere.
    pub(crate) fn added(&self) {
        self.bell.ring();
        self.news.notify_one();
    }
}

/// Wakes the workers of this process.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    notify: Notify,
    waiting: AtomicUsize,
    /// How many have ever waited at once: so many workers there are, as far as one can tell.
    workers: AtomicUsize,
}

impl Bell {
    /// Wakes each worker that waits, and if one is busy, it will not wait the next time.
    pub(crate) fn ring(&self) {
        for _ in 0..self.workers.load(Ordering::SeqCst).max(1) {
            self.notify.notify_one();
        }
    }

    pub(crate) async fn wait(&self) {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let now = self.waiting.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let _waiting = Waiting(&self.waiting);
        self.workers.fetch_max(now, Ordering::SeqCst);
        self.notify.notified().await;
    }
}
