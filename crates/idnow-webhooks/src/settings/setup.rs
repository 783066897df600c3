//! Puts settings to work.

use std::sync::Arc;

use idnow_webhooks_core::keys::{KeySet, StaticKeys};
use idnow_webhooks_core::store::{EventStore, SessionOrder};
use idnow_webhooks_core::{
    Admission, EventRouter, Receiver, ReceiverBuilder, Verifier, VerifierBuilder, Worker, WorkerBuilder,
};
use idnow_webhooks_jwks::JwksSource;

use super::{Keys, Settings, SetupError, Store};

impl Settings {
    /// Sets up everything for queued mode: a receiver that stores each event and answers at once, and the worker that
    /// runs the handlers. Keep the worker for as long as the server runs: dropping it stops it. See
    /// [the two modes](crate#the-two-modes).
    ///
    /// It does not wait for keys from the network: until they are there, deliveries are answered 503 and come
    /// again. The store and a key file, though, must be usable now.
    ///
    /// With [`Store::Memory`] it warns in the log: what was answered 200 and is not handled yet is lost when the process
    /// ends.
    pub async fn queued(&self, handlers: EventRouter) -> Result<(Receiver, Worker), SetupError> {
        if matches!(self.store, Store::Memory) {
            tracing::warn!(
                target: "idnow_webhooks::settings",
                "events that were answered 200 are lost when this process ends: IDNOW_STORE is memory"
            );
        }
        let store = self.open_store().await?;
        let receiver = self.receiver_builder().await?.queued(Arc::clone(&store)).build()?;
        Ok((receiver, self.worker_builder(store, handlers).start()?))
    }

    /// Sets up everything for inline mode: the handlers run before the answer, and their result is the answer. See
    /// [the two modes](crate#the-two-modes).
    ///
    /// The store recognises duplicates. Otherwise as [`queued`](Self::queued).
    pub async fn inline(&self, handlers: EventRouter) -> Result<Receiver, SetupError> {
        let store = self.open_store().await?;
        Ok(self.receiver_builder().await?.store(store).handlers(handlers).build()?)
    }

    /// Opens the store.
    pub async fn open_store(&self) -> Result<Arc<dyn EventStore>, SetupError> {
        Ok(self.store.open(self.retention).await?)
    }

    /// A worker as it is configured, for those who want to change something before it starts, or who run it in a
    /// process of its own.
    pub fn worker_builder(&self, store: impl EventStore, handlers: EventRouter) -> WorkerBuilder {
        Worker::builder(store, handlers)
            .concurrency(self.worker_concurrency)
            .max_runs(self.worker_max_runs)
            .session_order(SessionOrder::Sequence { grace: self.session_grace })
    }

    /// A receiver as it is configured, without handlers and store, for those who want to change something before it is
    /// built.
    pub async fn receiver_builder(&self) -> Result<ReceiverBuilder, SetupError> {
        let verifier = self
            .audiences
            .iter()
            .fold(Verifier::builder(), VerifierBuilder::audience)
            .issuer(&self.issuer)
            .algorithms(self.algorithms.iter().copied())
            .leeway(self.leeway)
            .build()?;
        let builder = match self.keys.location(&self.issuer) {
            Ok(location) => {
                let keys = JwksSource::builder(location).min_refresh_interval(self.jwks_min_refresh);
                let keys = match self.keys {
                    Keys::File(_) => keys.connect().await.map_err(SetupError::of_key_file)?,
                    _ => keys.start()?,
                };
                Receiver::builder(verifier, keys)
            }
            Err(secrets) => Receiver::builder(verifier, StaticKeys::new(KeySet::from_secrets(secrets)?)),
        };
        let builder = builder
            .admission(self.admission())
            .keep_evidence(self.keep_evidence)
            .max_body_bytes(self.max_body_bytes)
            .answer_deadline(self.answer_deadline);
        Ok(match &self.expected_environment {
            Some(environment) => builder.expected_environment(environment),
            None => builder,
        })
    }

    pub(super) fn admission(&self) -> Admission {
        let admission = self.allowed_ips.iter().copied().fold(Admission::new(), Admission::allow);
        let admission = self.trusted_proxies.iter().copied().fold(admission, Admission::trust_proxy);
        let admission = self.required_headers.iter().cloned().fold(admission, Admission::require);
        if self.monitor_allowed_ips { admission.monitor() } else { admission }
    }
}
