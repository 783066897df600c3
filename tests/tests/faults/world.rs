//! A receiver, and everything around it that can fail.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use idnow_webhooks::jwks::{JwksSource, Location};
use idnow_webhooks_conformance::{Running, Subject};
use idnow_webhooks_core::store::{EventState, EventStore};
use idnow_webhooks_core::{AdmitOptions, Backoff, Clock, Receiver, SystemClock, Verifier, Worker};
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_sqlite::SqliteStore;
use idnow_webhooks_testkit::{Behaviour, KeyServer, Provider, SampleEvent, SigningKey};
use tempfile::TempDir;

use crate::handler::{Handler, Plan};
use crate::relay::Relay;
use crate::words;

/// What happens to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Queued,
    Inline,
}

/// What is wrong with the key server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Down,
    Slow,
    Garbage,
    NoKeys,
    /// One of its nodes answers, and has not yet got what another one publishes.
    Lags,
}

/// The limit of an inline handler whose lease a row waits for: it ends 10 s later.
pub(crate) const SHORT_INLINE_LIMIT: Duration = Duration::from_secs(8);
/// The lease of a worker that a row waits for.
pub(crate) const SHORT_LEASE: Duration = Duration::from_secs(9);

/// How the receiver is set up. Times that differ from the defaults are listed in docs/faults.md. What a row does not wait for
/// is not shortened: on a slow machine it would pass.
pub(crate) struct Setup {
    pub(crate) mode: Mode,
    /// The address of a database; otherwise events are in a file.
    pub(crate) postgres: Option<String>,
    /// Where the file is, if not in a folder of its own.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) trouble: Option<Trouble>,
    /// For how many seconds a cache had held the keys before they are fetched.
    pub(crate) keys_age: Option<u32>,
    /// `aud` that is accepted.
    pub(crate) audience: &'static str,
    pub(crate) worker: bool,
    pub(crate) handler: Plan,
    pub(crate) fetch_timeout: Duration,
    pub(crate) cool_down: Duration,
    pub(crate) busy_timeout: Duration,
    pub(crate) answer_deadline: Duration,
    pub(crate) handler_limit: Duration,
    pub(crate) lease: Duration,
    pub(crate) max_runs: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            mode: Mode::Queued,
            postgres: None,
            folder: None,
            trouble: None,
            keys_age: None,
            audience: Provider::AUDIENCE,
            worker: true,
            handler: Plan::Succeed,
            fetch_timeout: Duration::from_secs(5),
            cool_down: Duration::from_secs(1),
            busy_timeout: Duration::from_secs(2),
            answer_deadline: Duration::from_secs(8),
            handler_limit: Duration::from_mins(1),
            lease: Duration::from_mins(1),
            max_runs: 15,
        }
    }
}

pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) handler: Handler,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) clock: Shifted,
    setup: Setup,
    key_server: KeyServer,
    to_key_server: Relay,
    keys_url: String,
    receiver: Receiver,
    server: Running,
    worker: Option<Worker>,
    path: PathBuf,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::start(Setup::default()).await
    }

    pub(crate) async fn start(setup: Setup) -> Self {
        let key_server = KeyServer::start().unwrap();
        let provider = Provider::new().with_issuer(key_server.issuer());
        key_server.publish(&[provider.key()]);
        let mut to_key_server = Relay::start(key_server.address());
        if let Some(trouble) = setup.trouble {
            trouble.begin(&key_server, &mut to_key_server).await;
        }
        to_key_server.age(setup.keys_age);
        let keys_url = key_server
            .jwks_url()
            .replace(&key_server.address().to_string(), &to_key_server.address.to_string());
        let own = tempfile::tempdir().unwrap();
        let path = setup.folder.as_deref().unwrap_or(own.path()).join("events.db");
        let (clock, handler) = (Shifted::default(), Handler::new(setup.handler.clone()));
        let store: Arc<dyn EventStore> = if let Some(url) = &setup.postgres {
            Arc::new(PostgresStore::connect(url).await.unwrap())
        } else {
            let store = SqliteStore::builder(&path).busy_timeout(setup.busy_timeout);
            Arc::new(store.clock(clock.clone()).open().await.unwrap())
        };
        let receiver = receiver(&setup, provider.issuer(), &keys_url, &store, &handler, &clock).await;
        let server = Subject::AxumLayer.start(receiver.clone());
        let mut world = Self {
            provider,
            handler,
            store,
            clock,
            setup,
            key_server,
            to_key_server,
            keys_url,
            receiver,
            server,
            worker: None,
            path,
            _folder: own,
        };
        if world.setup.worker {
            world.start_worker();
        }
        world
    }

    /// Handles what waits; nothing in inline mode.
    pub(crate) fn start_worker(&mut self) {
        self.worker = worker(&self.setup, &self.store, &self.handler);
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// From now on the key server is in trouble.
    pub(crate) async fn begin(&mut self, trouble: Trouble) {
        trouble.begin(&self.key_server, &mut self.to_key_server).await;
    }

    /// From now on it is well.
    pub(crate) fn end(&mut self, trouble: Trouble) {
        if trouble == Trouble::Down {
            self.to_key_server.up();
        }
        self.key_server.behave(Behaviour::Normal);
    }

    /// The provider signs with a new key, and publishes both.
    pub(crate) fn rotate(&mut self) {
        self.provider = self.provider.clone().with_key(SigningKey::shared_other());
        self.key_server.rotate(self.provider.key());
    }

    /// The key that signs is published no more, another one is.
    pub(crate) fn retire(&self) {
        self.key_server.publish(&[&SigningKey::shared_other()]);
    }

    /// The key that signs is published again.
    pub(crate) fn publish_again(&self) {
        self.key_server.rotate(self.provider.key());
    }

    /// The provider signs with a new key, and publishes it under the id of the old one.
    pub(crate) fn replace_key(&mut self) {
        let key = SigningKey::shared_other().with_key_id(self.provider.key().key_id().unwrap());
        self.key_server.publish(&[&key]);
        self.provider = self.provider.clone().with_key(key);
    }

    /// From now on the keys come from the server itself.
    pub(crate) fn past_the_cache(&self) {
        self.to_key_server.age(None);
    }

    /// Starts the receiver again, with this audience.
    pub(crate) async fn restart(&mut self, audience: &'static str) {
        self.setup.audience = audience;
        let (setup, provider) = (&self.setup, &self.provider);
        self.receiver =
            receiver(setup, provider.issuer(), &self.keys_url, &self.store, &self.handler, &self.clock).await;
        self.server = Subject::AxumLayer.start(self.receiver.clone());
    }

    /// What an operator does with all that is parked, as `idnow-webhooks inbox admit` does: what became of each.
    pub(crate) async fn admit(&self, as_of: AdmitOptions) -> Vec<&'static str> {
        let mut codes = Vec::new();
        for parked in self.store.parked(0, 1000).await.unwrap() {
            codes.push(
                self.receiver
                    .admit(&parked, as_of)
                    .await
                    .map_or_else(|refusal| refusal.code(), |outcome| outcome.code()),
            );
        }
        codes
    }

    /// One attempt.
    pub(crate) async fn deliver(&self, event: &SampleEvent) -> String {
        words::attempt(self.address(), self.provider.token(event)).await
    }

    /// One attempt, in a task of its own.
    pub(crate) fn delivering(&self, event: &SampleEvent) -> tokio::task::JoinHandle<String> {
        tokio::spawn(words::attempt(self.address(), self.provider.token(event)))
    }

    /// Further attempts, each newly signed, for as long as the answer is 503.
    pub(crate) async fn deliver_again(&self, event: &SampleEvent) -> String {
        let again = event.clone().with_attempt(2);
        words::attempts(self.address(), || self.provider.token(&again)).await
    }

    /// Where the event stands at once.
    pub(crate) async fn now(&self, event: &SampleEvent) -> String {
        words::now(&*self.store, event.event_id(), || self.runs(event)).await
    }

    /// Where the event stands once its handler was started so often and it is in this state.
    pub(crate) async fn reached(&self, event: &SampleEvent, state: EventState, runs: usize) -> String {
        let is_so = |seen, ran| seen == Some(state) && ran == runs;
        words::reached(&*self.store, event.event_id(), || self.runs(event), is_so).await
    }

    /// Where the event stands in the end.
    pub(crate) async fn finished(&self, event: &SampleEvent) -> String {
        words::finished(&*self.store, event.event_id(), || self.runs(event)).await
    }

    fn runs(&self, event: &SampleEvent) -> usize {
        self.handler.runs(event.event_id())
    }
}

impl Trouble {
    async fn begin(self, server: &KeyServer, relay: &mut Relay) {
        match self {
            Self::Down => relay.down().await,
            Self::Slow => server.behave(Behaviour::Hang),
            Self::Garbage => server.behave(Behaviour::Garbage),
            Self::NoKeys => server.behave(Behaviour::Document(r#"{"keys":[]}"#.into())),
            Self::Lags => server.behave(Behaviour::Document(SigningKey::shared().jwks().to_string())),
        }
    }
}

pub(crate) async fn receiver(
    setup: &Setup,
    issuer: &str,
    keys: &str,
    store: &Arc<dyn EventStore>,
    handler: &Handler,
    clock: &Shifted,
) -> Receiver {
    let keys = JwksSource::builder(Location::url(keys))
        .timeout(setup.fetch_timeout)
        .min_refresh_interval(setup.cool_down)
        .backoff(Backoff { first: Duration::from_millis(200), most: Duration::from_secs(1), jitter: 0.5 });
    let keys = keys.start().unwrap();
    if setup.trouble.is_none() {
        // A machine that does much else may not answer the first time.
        let known = async {
            while !keys.status().ready {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), known).await.expect("no keys");
    }
    let verifier = Verifier::builder().issuer(issuer).audience(setup.audience).build().unwrap();
    let receiver =
        Receiver::builder(verifier, keys).clock(clock.clone()).answer_deadline(setup.answer_deadline);
    let receiver = match setup.mode {
        Mode::Queued => receiver.queued(Arc::clone(store)),
        Mode::Inline => {
            let inline = receiver.handlers(handler.router()).store(Arc::clone(store));
            inline.handler_limit(setup.handler_limit)
        }
    };
    receiver.build().unwrap()
}

/// What handles the events of a queue.
pub(crate) fn worker(setup: &Setup, store: &Arc<dyn EventStore>, handler: &Handler) -> Option<Worker> {
    let wait = Duration::from_secs(5);
    let worker = Worker::builder(Arc::clone(store), handler.router())
        .lease(setup.lease)
        .handler_limit(setup.handler_limit)
        .backoff(Backoff { first: wait, most: wait, jitter: 0.0 })
        .poll_interval(Duration::from_millis(100))
        .max_runs(setup.max_runs);
    (setup.mode == Mode::Queued).then(|| worker.start().unwrap())
}

/// The machine's clock, so many seconds off.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shifted(Arc<AtomicI64>);

impl Shifted {
    pub(crate) fn by(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for Shifted {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::seconds(self.0.load(Ordering::SeqCst))
    }
}
