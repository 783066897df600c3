//! What the writer and everybody else have in common.

use std::collections::HashMap;
#[cfg(test)]
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::file::OwnFile;
use super::lock;
use super::open::{failure, fault};
use super::taken::Orphans;
use super::tally::Tally;
use super::unit::{Effects, Fault, NextExpiry};
use crate::clock::Micros;
use crate::error::Error;
use crate::known::Known;
use crate::live::{Broadcast, Change};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) file: OwnFile,
    pub(crate) live: Broadcast,
    pub(super) known: watch::Sender<Arc<Known>>,
    pub(super) tally: Mutex<Tally>,
    signals: Mutex<HashMap<Uuid, Arc<Notify>>>,
    /// Attempts that were given up.
    pub(super) orphans: Arc<Orphans>,
    /// When the next session expires, and who wants to know when it will be sooner.
    expiry: Mutex<Option<Micros>>,
    pub(crate) sooner: Notify,
    pub(super) closing: CancellationToken,
    /// The next commit is done, and said to have failed.
    #[cfg(test)]
    pub(crate) doubtful: std::sync::atomic::AtomicBool,
}

impl Shared {
    pub(super) fn new(file: OwnFile, known: &Arc<Known>, tally: Tally) -> Self {
        Self {
            file,
            live: Broadcast::default(),
            known: watch::Sender::new(Arc::clone(known)),
            tally: Mutex::new(tally),
            signals: Mutex::default(),
            orphans: Arc::default(),
            expiry: Mutex::default(),
            sooner: Notify::new(),
            closing: CancellationToken::new(),
            #[cfg(test)]
            doubtful: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Where the file is.
    #[cfg(test)]
    pub(crate) fn folder(&self) -> PathBuf {
        self.file.path().parent().unwrap().to_owned()
    }

    /// Attempts that the writer has not heard of yet.
    #[cfg(test)]
    pub(crate) fn given_up(&self) -> usize {
        self.orphans.take().len()
    }

    pub(super) fn failure(&self, error: sqlx::Error) -> Error {
        failure(&self.file, error)
    }

    pub(super) fn fault(&self, error: Fault) -> Error {
        fault(&self.file, error)
    }

    pub(super) fn signal(&self, endpoint: Uuid) -> Arc<Notify> {
        Arc::clone(lock(&self.signals).entry(endpoint).or_default())
    }

    /// Tells everybody what has become durable.
    pub(super) fn committed(&self, known: &Arc<Known>, effects: Effects) {
        lock(&self.tally).add(&effects.tally);
        if effects.known {
            self.known.send_replace(Arc::clone(known));
        }
        {
            let mut signals = lock(&self.signals);
            for endpoint in &effects.wakes {
                signals.entry(*endpoint).or_default().notify_one();
            }
            for endpoint in &effects.removed {
                if let Some(signal) = signals.remove(endpoint) {
                    signal.notify_one();
                }
            }
        }
        if let Some(NextExpiry(next)) = effects.next_expiry {
            *lock(&self.expiry) = next;
        }
        if let Some(expiry) = effects.expiry {
            let mut next = lock(&self.expiry);
            if next.is_none_or(|next| expiry < next) {
                *next = Some(expiry);
                self.sooner.notify_one();
            }
        }
        for change in effects.changes {
            self.live.tell(change);
        }
    }

    /// Anything may have changed: everything was read anew, after a commit of which nobody knows whether it was one.
    pub(super) fn read_anew(&self, known: &Arc<Known>, tally: Tally) {
        *lock(&self.tally) = tally;
        self.known.send_replace(Arc::clone(known));
        for signal in lock(&self.signals).values() {
            signal.notify_one();
        }
        self.sooner.notify_one();
        self.live.tell(Change::Missed);
    }
}
