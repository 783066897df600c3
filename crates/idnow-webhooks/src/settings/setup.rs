//! Puts settings to work.

use std::sync::Arc;

use idnow_webhooks_core::keys::{KeySet, KeySource, StaticKeys};
use idnow_webhooks_core::store::{EventStore, SessionOrder};
use idnow_webhooks_core::{
    Admission, EventRouter, Receiver, ReceiverBuilder, Verifier, VerifierBuilder, Worker, WorkerBuilder,
};
#[cfg(feature = "jwks")]
use idnow_webhooks_jwks::JwksSource;

use super::report::Mode;
use super::store::OpenStore;
use super::{Keys, Settings, SetupError};

impl Settings {
    /// Sets up everything for queued mode: a receiver that stores each event and answers at once, and the worker that
    /// runs the handlers. Keep the worker for as long as the server runs: dropping it stops it. See
    /// [the two modes](crate#the-two-modes).
    ///
    /// It does not wait for keys from the network: until they are there, deliveries are answered 503 and come
    /// again. The store and a key file, though, must be usable now.
    ///
    /// One line of the log says what was set up. Warnings say what is dangerous: a queue in memory, an answer that would
    /// come too late, and production that accepts whatever the provider's keys have signed for this audience.
    pub async fn queued(&self, handlers: EventRouter) -> Result<(Receiver, Worker), SetupError> {
        self.set_up_queued(self.open().await?, handlers).await
    }

    /// Does the same on a store that is open: one of [`open_sqlite`](Self::open_sqlite) or
    /// [`open_postgres`](Self::open_postgres), so that handlers can take part in its transactions, or one of your own.
    ///
    /// Stores are handles: give a clone, or an `Arc`.
    pub async fn queued_on(
        &self,
        store: impl EventStore,
        handlers: EventRouter,
    ) -> Result<(Receiver, Worker), SetupError> {
        self.set_up_queued(OpenStore::own(store), handlers).await
    }

    /// Sets up everything for inline mode: the handlers run before the answer, and their result is the answer. See
    /// [the two modes](crate#the-two-modes).
    ///
    /// The store recognises duplicates. Otherwise as [`queued`](Self::queued).
    pub async fn inline(&self, handlers: EventRouter) -> Result<Receiver, SetupError> {
        self.set_up_inline(self.open().await?, handlers).await
    }

    /// Does the same on a store that is open, as [`queued_on`](Self::queued_on).
    pub async fn inline_on(
        &self,
        store: impl EventStore,
        handlers: EventRouter,
    ) -> Result<Receiver, SetupError> {
        self.set_up_inline(OpenStore::own(store), handlers).await
    }

    async fn set_up_queued(
        &self,
        open: OpenStore,
        handlers: EventRouter,
    ) -> Result<(Receiver, Worker), SetupError> {
        let receiver = self.receiver_builder().await?.queued(Arc::clone(&open.store)).build()?;
        let worker = self.worker_builder(open.store, handlers).start()?;
        self.report(Mode::Queued, &open.shown);
        Ok((receiver, worker))
    }

    async fn set_up_inline(&self, open: OpenStore, handlers: EventRouter) -> Result<Receiver, SetupError> {
        let receiver = self.receiver_builder().await?.store(open.store).handlers(handlers).build()?;
        self.report(Mode::Inline, &open.shown);
        Ok(receiver)
    }

    /// A worker as it is configured, for those who want to change something before it starts, or who run it in a
    /// process of its own.
    pub fn worker_builder(&self, store: impl EventStore, handlers: EventRouter) -> WorkerBuilder {
        let builder = Worker::builder(store, handlers)
            .concurrency(self.worker_concurrency)
            .max_runs(self.worker_max_runs)
            .lease(self.lease)
            .drain_limit(self.drain_limit)
            .session_order(SessionOrder::Sequence { grace: self.session_grace });
        match self.handler_limit {
            Some(limit) => builder.handler_limit(limit),
            None => builder,
        }
    }

    /// A receiver as it is configured, without handlers and store, for those who want to change something before it is
    /// built.
    ///
    /// # Errors
    ///
    /// Keys that cannot be used: of a key file or URL, also for want of the feature `jwks`.
    pub async fn receiver_builder(&self) -> Result<ReceiverBuilder, SetupError> {
        let builder = Receiver::builder(self.verifier()?, self.key_source(false).await?)
            .admission(self.admission())
            .keep_evidence(self.keep_evidence)
            .max_body_bytes(self.max_body_bytes)
            .answer_deadline(self.answer_deadline);
        Ok(match self.handler_limit {
            Some(limit) => builder.handler_limit(limit),
            None => builder,
        })
    }

    /// A receiver that [admits](Receiver::admit) what is parked in this store, under these settings. It waits until the
    /// keys are there.
    ///
    /// # Errors
    ///
    /// Keys that cannot be used, or cannot be fetched now.
    pub async fn admitting_receiver(&self, store: impl EventStore) -> Result<Receiver, SetupError> {
        let builder = Receiver::builder(self.verifier()?, self.key_source(true).await?);
        Ok(builder.keep_evidence(self.keep_evidence).queued(store).build()?)
    }

    fn verifier(&self) -> Result<Verifier, SetupError> {
        let mut builder = self
            .audiences
            .iter()
            .fold(Verifier::builder(), VerifierBuilder::audience)
            .issuer(&self.issuer)
            .algorithms(self.algorithms.iter().copied())
            .leeway(self.leeway)
            .max_lifetime(self.max_lifetime);
        if let Some(age) = self.max_age {
            builder = builder.max_age(age);
        }
        if let Some(environment) = &self.expected_environment {
            builder = builder.expected_environment(environment);
        }
        Ok(self.expected_flows.iter().fold(builder, VerifierBuilder::expected_flow).build()?)
    }

    /// `wait` for keys from the network, too.
    #[cfg(feature = "jwks")]
    async fn key_source(&self, wait: bool) -> Result<Arc<dyn KeySource>, SetupError> {
        let location = match self.keys.location(&self.issuer) {
            Ok(location) => location,
            Err(secrets) => return Ok(Arc::new(StaticKeys::new(KeySet::from_secrets(secrets)?))),
        };
        let keys = JwksSource::builder(location).min_refresh_interval(self.jwks_min_refresh);
        let keys = match self.keys {
            Keys::File(_) => keys.connect().await.map_err(SetupError::of_key_file)?,
            _ if wait => keys.connect().await?,
            _ => keys.start()?,
        };
        Ok(Arc::new(keys))
    }

    #[cfg(not(feature = "jwks"))]
    #[expect(clippy::unused_async, reason = "only keys from elsewhere are waited for")]
    async fn key_source(&self, _wait: bool) -> Result<Arc<dyn KeySource>, SetupError> {
        match &self.keys {
            Keys::Secrets(secrets) => Ok(Arc::new(StaticKeys::new(KeySet::from_secrets(secrets)?))),
            elsewhere => Err(SetupError::Feature(elsewhere.variable())),
        }
    }

    pub(super) fn admission(&self) -> Admission {
        let admission = self.allowed_ips.iter().copied().fold(Admission::new(), Admission::allow);
        let admission = self.trusted_proxies.iter().copied().fold(admission, Admission::trust_proxy);
        let admission = self.required_headers.iter().cloned().fold(admission, Admission::require);
        if self.monitor_allowed_ips { admission.monitor() } else { admission }
    }
}
