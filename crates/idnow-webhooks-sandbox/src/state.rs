//! What the parts of a sandbox share. The sender works with this, everybody else with [`Sandbox`](crate::Sandbox).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::builder::Settings;
use crate::clock::{self, micros};
use crate::database::attempts::{Recording, Taking};
use crate::database::{Database, Shared};
use crate::error::Error;
use crate::keys::SigningKey;
use crate::known::Known;
use crate::model::{Answer, DeliveryState, Endpoint, Event};
use crate::rules::retry::{Next, Verdict, next};
use crate::sender::{self, Client};

/// A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    database: Database,
    client: Client,
    stopping: CancellationToken,
}

/// What a lane is to send now. All of it is counted as attempted, whatever happens.
#[derive(Debug)]
pub(crate) struct Taken {
    /// As it was when the attempts were counted: what its URL was is noted. With the values of its headers.
    pub(crate) endpoint: Arc<Endpoint>,
    /// What signs these attempts.
    pub(crate) key: Arc<SigningKey>,
    pub(crate) due: Vec<Due>,
    /// When the next one is due; `None` if none waits.
    pub(crate) next: Option<DateTime<Utc>>,
}

/// An attempt that has begun.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) delivery: i64,
    /// The `eventDeliverId`.
    pub(crate) number: u32,
    /// How many retries there were before, since the delivery was made or retriggered.
    pub(crate) retries: u32,
    /// The `createdAt`.
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) event: Event,
    pub(crate) loose: Loose,
}

/// Puts a delivery back if its attempt is dropped before its outcome was noted.
#[derive(Debug)]
pub(crate) struct Loose {
    shared: Arc<Shared>,
    delivery: i64,
    endpoint: Uuid,
    noted: AtomicBool,
}

impl Loose {
    pub(crate) fn new(shared: Arc<Shared>, delivery: i64, endpoint: Uuid) -> Self {
        Self { shared, delivery, endpoint, noted: AtomicBool::new(false) }
    }
}

impl Drop for Loose {
    fn drop(&mut self) {
        if !*self.noted.get_mut() {
            self.shared.give_up(self.delivery);
        }
    }
}

impl State {
    /// # Errors
    ///
    /// [`Error::Invalid`] for an authority that is no certificate.
    pub(crate) fn new(
        settings: Settings,
        database: Database,
        stopping: CancellationToken,
    ) -> Result<Self, Error> {
        let client = sender::client(&settings)?;
        Ok(Self(Arc::new(Inner { settings, database, client, stopping })))
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    /// What requests are made with.
    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Ends when the sandbox is to stop.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Which endpoints there are, and how they are, as it changes: so lanes are started and stopped.
    pub(crate) fn known(&self) -> watch::Receiver<Arc<Known>> {
        self.0.database.known()
    }

    /// What tells the lane of an endpoint that there is something new to send, or that the endpoint has changed. One who
    /// comes late finds it told.
    pub(crate) fn signal(&self, endpoint: Uuid) -> Arc<Notify> {
        self.0.database.signal(endpoint)
    }

    /// With the values of its headers.
    pub(crate) fn endpoint_with_secrets(&self, id: Uuid) -> Option<Arc<Endpoint>> {
        self.0.database.now_known().endpoints.get(id).map(|(_, endpoint)| Arc::clone(endpoint))
    }

    /// Begins an attempt of what is due: at most `limit`, the longest due first. None, if the endpoint is disabled.
    ///
    /// Attempts are counted durably before this returns, so that no `eventDeliverId` is ever used twice. Attempts that are
    /// dropped and not recorded are kept without an answer, and their deliveries are due again.
    pub(crate) async fn take_due(&self, endpoint: Uuid, limit: u32) -> Result<Taken, Error> {
        self.0.database.take(Taking { endpoint, limit }).await
    }

    /// Notes durably what came of an attempt, and what follows from it.
    pub(crate) async fn record(
        &self,
        due: &Due,
        took: Duration,
        answer: Answer,
        verdict: Verdict,
    ) -> Result<(), Error> {
        let settings = self.settings();
        let (state, wait, dead_reason) = match next(verdict, due.retries, settings.max_retries) {
            Next::Delivered => (DeliveryState::Delivered, None, None),
            Next::RetryAfter(wait) => (DeliveryState::Waiting, Some(settings.scaled(wait)), None),
            Next::Dead(reason) => (DeliveryState::Dead, None, Some(reason)),
        };
        let answer = serde_json::to_string(&answer)
            .map_err(|error| Error::unavailable_because("an answer could not be written", error))?;
        let recording = Recording {
            delivery: due.delivery,
            number: due.number,
            endpoint: due.loose.endpoint,
            took: micros(took),
            answer,
            state,
            next_at: wait.map(|wait| clock::now().timestamp_micros().saturating_add(micros(wait))),
            dead_reason,
        };
        self.0.database.record(recording).await?;
        due.loose.noted.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
