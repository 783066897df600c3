//! The keys that chaos needs, and what becomes of those that it rotates away.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::builder::Settings;
use crate::clock;
use crate::database::Database;
use crate::database::keys::{Retire, activate_new};
use crate::error::Error;
use crate::keys::{KeyEntry, SigningKey, generate};
use crate::known::Known;
use crate::model::{Key, KeyState};

/// Receivers fetch the keys once more for a key that they do not know, but not more often than this: otherwise every forgery
/// would cost a request. Until then they cannot accept what is signed with a new key. It is their own time, which no scale
/// divides.
const RECEIVERS_PAUSE: Duration = Duration::from_secs(10);
/// Of the provider's time: no shorter, and the receiver would have to fetch keys all the time.
const BETWEEN_ROTATIONS: Duration = Duration::from_mins(1);
/// Of the receiver's time.
const LEAST_BETWEEN_ROTATIONS: Duration = Duration::from_secs(15);
/// Of the provider's time: what may lie between the signature of a token and its arrival, beside the time for its answer.
const MARGIN: Duration = Duration::from_mins(2);
/// Signing takes its time whatever the scale, and the key before goes on signing for a [`RECEIVERS_PAUSE`].
const LEAST_MARGIN: Duration = RECEIVERS_PAUSE.saturating_add(Duration::from_secs(1));
/// So many keys that it has rotated away stay published: receivers must be able to live with several, and read only so many.
const KEPT: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Keys {
    /// One that nobody has ever heard of.
    unknown: OnceCell<Arc<SigningKey>>,
    /// When that was last tried.
    rotated: tokio::sync::Mutex<Option<Instant>>,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    /// The ids of published keys that chaos has made, or whose place it took. All others are left alone: whoever has rotated
    /// them away may still need them.
    own: HashSet<String>,
    /// The last one that it has retired. Nobody else keeps its private half.
    retired: Option<Arc<SigningKey>>,
    last: Option<Rotation>,
}

#[derive(Debug)]
struct Rotation {
    at: Instant,
    before: Arc<SigningKey>,
    /// The row of the key that took its place.
    after: i64,
}

impl Keys {
    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn unknown(&self) -> Result<Arc<SigningKey>, Error> {
        let key = self.unknown.get_or_try_init(async || {
            let made = spawn_blocking(generate).await;
            let (kid, pkcs8) =
                made.map_err(|error| Error::unavailable_because("a new key could not be made", error))??;
            SigningKey::from_pkcs8(0, kid, &pkcs8).map(Arc::new)
        });
        key.await.map(Arc::clone)
    }

    /// What signs an attempt after which retries take so much longer: the active key, but the one before if receivers might
    /// not know the active one in time.
    pub(super) fn signing(&self, known: &Known, left: Duration) -> Result<Arc<SigningKey>, Error> {
        let active = known.active_key()?;
        let is_published = |key: &SigningKey| {
            known.keys.iter().any(|entry| entry.public.row == key.row && entry.state == KeyState::Published)
        };
        match &self.lock().last {
            Some(Rotation { at, before, after })
                if *after == active.row
                    && at.elapsed().saturating_add(left) <= RECEIVERS_PAUSE
                    && is_published(before) =>
            {
                Ok(Arc::clone(before))
            }
            _ => Ok(Arc::clone(active)),
        }
    }

    /// Rotates the keys, unless that was done a moment ago, or the retries that are left take so little time that receivers
    /// might not know the new key by then. Whether it was done now.
    pub(super) async fn rotate(&self, database: &Database, settings: &Settings, left: Duration) -> bool {
        if left <= RECEIVERS_PAUSE {
            return false;
        }
        // Who finds another one rotating need not do it, too.
        let Ok(mut rotated) = self.rotated.try_lock() else { return false };
        let pause = settings.scaled(BETWEEN_ROTATIONS).max(LEAST_BETWEEN_ROTATIONS);
        if rotated.is_some_and(|last| last.elapsed() < pause) {
            return false;
        }
        *rotated = Some(Instant::now());
        match self.rotate_now(database, long_ago(settings)).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "chaos cannot rotate the keys");
                false
            }
        }
    }

    /// `long_ago`: nothing is under way that was signed before.
    async fn rotate_now(&self, database: &Database, long_ago: DateTime<Utc>) -> Result<(), Error> {
        let made = activate_new(database).await?;
        self.note(&database.now_known(), &made);
        self.tidy(database, long_ago).await;
        Ok(())
    }

    /// What a rotation has changed.
    fn note(&self, known: &Known, made: &Key) {
        let mut noted = self.lock();
        let published = |id: &str| {
            known.keys.iter().any(|entry| entry.public.id == id && entry.state != KeyState::Retired)
        };
        noted.own.retain(|id| published(id));
        noted.own.insert(made.id.clone());
        let pair =
            known.keys.iter().zip(known.keys.iter().skip(1)).find(|(_, next)| next.public.id == made.id);
        if let Some((before, after)) = pair
            && let Some(private) = &before.private
        {
            noted.own.insert(before.public.id.clone());
            noted.last =
                Some(Rotation { at: Instant::now(), before: Arc::clone(private), after: after.public.row });
        }
    }

    /// Retires its own keys, but for the last few.
    async fn tidy(&self, database: &Database, long_ago: DateTime<Utc>) {
        let known = database.now_known();
        let surplus = {
            let own = &self.lock().own;
            let published = published(&known, own).count();
            let unused = unused(&known, own, long_ago).filter_map(|entry| entry.private.clone());
            unused.take(published.saturating_sub(KEPT)).collect::<Vec<_>>()
        };
        for key in surplus {
            self.retire(database, key).await;
        }
    }

    /// A key that was published, and is not any more. If there is none, this retires the oldest of its own that no attempt
    /// can still be signed with.
    pub(super) async fn retired(&self, database: &Database, settings: &Settings) -> Option<Arc<SigningKey>> {
        let known = database.now_known();
        let oldest = {
            let noted = self.lock();
            if let Some(retired) = &noted.retired {
                return Some(Arc::clone(retired));
            }
            unused(&known, &noted.own, long_ago(settings)).find_map(|entry| entry.private.clone())
        };
        self.retire(database, oldest?).await
    }

    /// Whether there is neither a retired key nor one that can become it: a rotation would make one.
    pub(super) fn has_none_to_retire(&self, known: &Known) -> bool {
        let noted = self.lock();
        noted.retired.is_none() && published(known, &noted.own).next().is_none()
    }

    async fn retire(&self, database: &Database, key: Arc<SigningKey>) -> Option<Arc<SigningKey>> {
        match database.write(Retire(key.id.clone())).await {
            Ok(_) => {
                let mut noted = self.lock();
                noted.own.remove(&key.id);
                Some(Arc::clone(noted.retired.insert(key)))
            }
            Err(error) => {
                tracing::warn!(%error, "chaos cannot retire a key");
                None
            }
        }
    }
}

/// What a key has signed that was replaced before that has arrived by now.
fn long_ago(settings: &Settings) -> DateTime<Utc> {
    clock::now() - (settings.answer_deadline + settings.scaled(MARGIN).max(LEAST_MARGIN))
}

/// Its own that sign no more, the oldest first.
fn published<'a>(known: &'a Known, own: &HashSet<String>) -> impl Iterator<Item = &'a KeyEntry> {
    let is_own = |entry: &&KeyEntry| own.contains(&entry.public.id);
    known.keys.iter().filter(|entry| entry.state == KeyState::Published).filter(is_own)
}

/// Those of them that were replaced so long ago.
fn unused<'a>(
    known: &'a Known,
    own: &HashSet<String>,
    long_ago: DateTime<Utc>,
) -> impl Iterator<Item = &'a KeyEntry> {
    // The key after it has replaced it.
    let replaced = move |entry: &&KeyEntry| {
        let next = known.keys.iter().find(|next| next.public.row > entry.public.row);
        next.is_some_and(|next| next.created_at < long_ago)
    };
    published(known, own).filter(replaced)
}

#[cfg(test)]
mod tests;
