//! Chaos while a sandbox runs: the settings of now, what has come of them, and the keys that it needs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::dice::{Circumstances, Plan};
use super::held::{Held, Register};
use super::keys::Keys;
use super::plan::{Chaos, Fault};
use super::report::{ChaosReport, Counts, is_alarming};
use crate::builder::Settings;
use crate::database::Database;
use crate::database::taken::Due;
use crate::error::Error;
use crate::keys::SigningKey;
use crate::known::Known;
use crate::model::{Answer, SessionStatus};

#[derive(Debug, Default)]
pub(crate) struct Engine {
    now: Mutex<Now>,
    register: Register,
    keys: Keys,
}

#[derive(Debug, Default)]
struct Now {
    chaos: Option<Arc<Chaos>>,
    counts: Counts,
}

impl Engine {
    pub(crate) fn new(chaos: Option<Chaos>) -> Self {
        let engine = Self::default();
        engine.set(chaos);
        engine
    }

    /// Applies to all attempts that begin from now on. Counts begin anew with new settings, and stay when chaos ends.
    pub(crate) fn set(&self, chaos: Option<Chaos>) {
        let mut now = self.lock();
        if chaos.is_some() {
            now.counts = Counts::default();
        }
        now.chaos = chaos.map(Arc::new);
    }

    pub(crate) fn report(&self) -> ChaosReport {
        let now = self.lock();
        now.counts.report(now.chaos.as_deref().cloned())
    }

    pub(crate) fn settings(&self) -> Option<Arc<Chaos>> {
        self.lock().chaos.clone()
    }

    pub(crate) fn forgeries_accepted(&self) -> u64 {
        self.lock().counts.forgeries_accepted()
    }

    /// `answer` is that of a forgery.
    pub(crate) fn count(&self, due: &Due, fault: Fault, answer: Option<&Answer>) {
        self.lock().counts.add(fault, answer);
        if let Some(Answer::Status { code: code @ 200..300, .. }) = answer {
            let (delivery, attempt, forgery) = (due.delivery, due.number, fault.name());
            if is_alarming(fault) {
                tracing::error!(delivery, attempt, forgery, code, "the receiver has accepted a forgery");
            } else {
                tracing::info!(delivery, attempt, forgery, code, "the receiver still knows a retired key");
            }
        }
    }

    /// Keeps an event back until [`arrived`](Self::arrived) tells of a later one.
    pub(crate) fn hold(&self, endpoint: Uuid, due: &Due) -> Held {
        self.register.hold((endpoint, due.event.session_id), due.event.sequence, due.delivery)
    }

    /// The endpoint has this event.
    pub(crate) fn arrived(&self, endpoint: Uuid, due: &Due) {
        self.register.arrived((endpoint, due.event.session_id), due.event.sequence);
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key that was never published.
    pub(crate) async fn unknown_key(&self) -> Result<Arc<SigningKey>, Error> {
        self.keys.unknown().await
    }

    /// What signs an attempt after which retries take so much longer.
    pub(crate) fn signing_key(&self, known: &Known, left: Duration) -> Result<Arc<SigningKey>, Error> {
        self.keys.signing(known, left)
    }

    /// Rotates the keys, if that was not done a moment ago, and the retries that are left take long enough for receivers to
    /// learn the new key. Whether it was done now.
    pub(crate) async fn rotate(&self, database: &Database, settings: &Settings, left: Duration) -> bool {
        self.keys.rotate(database, settings, left).await
    }

    /// A key that was published, and is not any more.
    pub(crate) async fn retired_key(
        &self,
        database: &Database,
        settings: &Settings,
    ) -> Option<Arc<SigningKey>> {
        self.keys.retired(database, settings).await
    }

    /// Whether it takes a rotation to have a key that can be retired.
    pub(crate) fn has_no_key_to_retire(&self, known: &Known) -> bool {
        self.keys.has_none_to_retire(known)
    }
}

/// What is to happen to an attempt that has been taken.
pub(crate) fn plan(chaos: &Chaos, due: &Due, max_retries: u32) -> Option<Plan> {
    let circumstances = Circumstances {
        delivery: due.delivery,
        number: due.number,
        is_first: due.retries == 0,
        is_last: due.retries >= max_retries,
        has_successor: matches!(due.event.session_status, SessionStatus::Created | SessionStatus::Running),
    };
    Plan::of(chaos, circumstances)
}
