//! Chaos while a sandbox runs: the settings of now, what has come of them, and the keys that it needs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use uuid::Uuid;

use super::dice::{Circumstances, Plan};
use super::held::{Held, Register};
use super::plan::{Chaos, Fault};
use super::report::{ChaosReport, Counts, is_alarming};
use crate::builder::Settings;
use crate::clock;
use crate::database::Database;
use crate::database::keys::{Retire, activate_new};
use crate::database::taken::Due;
use crate::error::Error;
use crate::keys::{SigningKey, generate};
use crate::model::{Answer, KeyState, SessionStatus};

/// Of the provider's time: no shorter, and the receiver would have to fetch keys all the time.
const BETWEEN_ROTATIONS: Duration = Duration::from_mins(1);
/// Receivers fetch keys again only so soon, by their own time, which no scale divides.
const LEAST_BETWEEN_ROTATIONS: Duration = Duration::from_secs(15);
/// What an attempt with the key before may be held for, beside the time for its answer.
const MARGIN: Duration = Duration::from_mins(2);

#[derive(Debug, Default)]
pub(crate) struct Engine {
    now: Mutex<Now>,
    register: Register,
    /// A key that nobody has ever heard of.
    unknown: OnceCell<Arc<SigningKey>>,
    /// The key that this has retired. Nobody else keeps its private half.
    retired: Mutex<Option<Arc<SigningKey>>>,
    rotated: tokio::sync::Mutex<Option<Instant>>,
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
        let key = self.unknown.get_or_try_init(async || {
            let made = spawn_blocking(generate).await;
            let (kid, pkcs8) =
                made.map_err(|error| Error::unavailable_because("a new key could not be made", error))??;
            SigningKey::from_pkcs8(0, kid, &pkcs8).map(Arc::new)
        });
        key.await.map(Arc::clone)
    }

    /// Rotates the keys, unless that was done a moment ago. Whether it was done now.
    pub(crate) async fn rotate(&self, database: &Database, settings: &Settings) -> bool {
        // Who finds another one rotating need not do it, too.
        let Ok(mut rotated) = self.rotated.try_lock() else { return false };
        let pause = settings.scaled(BETWEEN_ROTATIONS).max(LEAST_BETWEEN_ROTATIONS);
        if rotated.is_some_and(|last| last.elapsed() < pause) {
            return false;
        }
        *rotated = Some(Instant::now());
        match activate_new(database).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, "chaos cannot rotate the keys");
                false
            }
        }
    }

    /// A key that was published, and is not any more. If there is none, this retires the oldest that no attempt can still be
    /// signed with; or makes the active one such a key, for the next time.
    pub(crate) async fn retired_key(
        &self,
        database: &Database,
        settings: &Settings,
    ) -> Option<Arc<SigningKey>> {
        if let Some(retired) = self.retired.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Some(retired);
        }
        let known = database.now_known();
        let long_ago = clock::now() - (settings.answer_deadline + settings.scaled(MARGIN));
        // The key after it has replaced it.
        let pairs = known.keys.iter().zip(known.keys.iter().skip(1));
        let mut unused = pairs
            .filter(|(entry, next)| entry.state == KeyState::Published && next.created_at < long_ago)
            .filter_map(|(entry, _)| entry.private.as_ref());
        if let Some(key) = unused.next() {
            return match database.write(Retire(key.id.clone())).await {
                Ok(_) => {
                    let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
                    Some(Arc::clone(retired.insert(Arc::clone(key))))
                }
                Err(error) => {
                    tracing::warn!(%error, "chaos cannot retire a key");
                    None
                }
            };
        }
        if !known.keys.iter().any(|entry| entry.state == KeyState::Published) {
            self.rotate(database, settings).await;
        }
        None
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
