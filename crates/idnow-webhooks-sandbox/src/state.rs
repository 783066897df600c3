//! What the parts of a sandbox share. The sender works with this, everybody else with [`Sandbox`](crate::Sandbox).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::builder::Settings;
use crate::chaos::Inflicted;
use crate::chaos::engine::Engine;
use crate::clock::{self, micros};
use crate::database::Database;
use crate::database::attempts::{Recording, Taking};
pub(crate) use crate::database::taken::{Due, Taken};
use crate::error::Error;
use crate::keys::SigningKey;
use crate::known::Known;
use crate::model::{Answer, DeliveryState, Endpoint};
use crate::rules::retry::{LONGEST_WAIT, Next, Verdict, is_due, left, next};
use crate::sender::client::Client;

/// A cheap handle.
#[derive(Debug, Clone)]
pub(crate) struct State(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    database: Database,
    client: Client,
    chaos: Engine,
    stopping: CancellationToken,
}

/// An attempt that has ended.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) took: Duration,
    pub(crate) answer: Answer,
    pub(crate) verdict: Verdict,
    /// What chaos did to it.
    pub(crate) faults: Vec<Inflicted>,
    /// The row of the key that signed it, if that is not the one it was taken with.
    pub(crate) key: Option<i64>,
    /// When it was signed, if that was not when it was taken.
    pub(crate) signed_at: Option<DateTime<Utc>>,
}

impl State {
    pub(crate) fn new(
        settings: Settings,
        database: Database,
        client: Client,
        stopping: CancellationToken,
    ) -> Self {
        let chaos = Engine::new(settings.chaos.clone());
        Self(Arc::new(Inner { settings, database, client, chaos, stopping }))
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

    pub(crate) fn chaos(&self) -> &Engine {
        &self.0.chaos
    }

    /// What signs now.
    pub(crate) fn active_key(&self) -> Result<Arc<SigningKey>, Error> {
        self.0.database.now_known().active_key().cloned()
    }

    /// What signs an attempt that is made now.
    pub(crate) fn signing_key(&self, due: &Due) -> Result<Arc<SigningKey>, Error> {
        self.chaos().signing_key(&self.0.database.now_known(), self.time_left(due))
    }

    /// How long the retries take that an attempt has left.
    pub(crate) fn time_left(&self, due: &Due) -> Duration {
        self.settings().scaled(left(due.retries, self.settings().max_retries))
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

    /// Whether what is to be tried at a time is tried now.
    pub(crate) fn is_due(&self, at: DateTime<Utc>) -> bool {
        let longest = micros(self.settings().scaled(LONGEST_WAIT));
        is_due(at.timestamp_micros(), clock::now().timestamp_micros(), longest)
    }

    /// Begins an attempt of what is due: at most `limit`, the longest due first. None, if the endpoint is disabled.
    ///
    /// Attempts are counted durably before this returns, so that no `eventDeliverId` is ever used twice. Attempts that are
    /// dropped and not recorded are kept without an answer, and their deliveries are due again.
    pub(crate) async fn take_due(&self, endpoint: Uuid, limit: u32) -> Result<Taken, Error> {
        self.0.database.take(Taking { endpoint, limit }).await
    }

    /// Notes durably what came of an attempt, and what follows from it. What is in the queue is noted although the caller goes
    /// away.
    pub(crate) async fn record(&self, due: &Due, made: &Made) -> Result<(), Error> {
        let Made { took, answer, verdict, faults, key, signed_at } = made;
        let settings = self.settings();
        let (state, wait, dead_reason) = match next(*verdict, due.retries, settings.max_retries) {
            Next::Delivered => (DeliveryState::Delivered, None, None),
            Next::RetryAfter(wait) => (DeliveryState::Waiting, Some(settings.scaled(wait)), None),
            Next::Dead(reason) => (DeliveryState::Dead, None, Some(reason)),
        };
        let unwritten = |error| Error::unavailable_because("an answer could not be written", error);
        let faults = (!faults.is_empty()).then(|| serde_json::to_string(faults)).transpose();
        let recording = Recording {
            delivery: due.delivery,
            number: due.number,
            endpoint: due.endpoint,
            took: micros(*took),
            answer: serde_json::to_string(answer).map_err(unwritten)?,
            faults: faults.map_err(unwritten)?,
            key: *key,
            signed_at: signed_at.map(|at| at.timestamp_micros()),
            state,
            next_at: wait.map(|wait| clock::now().timestamp_micros().saturating_add(micros(wait))),
            dead_reason,
            loose: due.loose.clone(),
        };
        self.0.database.record(recording).await
    }
}

#[cfg(test)]
mod tests;
