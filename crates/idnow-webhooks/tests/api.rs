//! What users hold can be given to other threads and be shown, every error is one for `?`, and what is awaited can be
//! awaited in a task. It is the compiler that decides, so these tests fail by not being built.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Debug;

use futures_util::stream;
use http::{HeaderMap, Method};
use idnow_webhooks::event::{
    Event, RawEvent, Run, Session, SessionAborted, SessionCompleted, SessionCreated, SessionError,
    SessionExpired, SessionStatus, Unreadable,
};
use idnow_webhooks::keys::{
    Algorithm, KeySet, KeySetError, KeySource, KeysUnavailable, SkippedKey, StaticKeys, UnknownAlgorithm,
    UnusableKey, VerificationKey,
};
use idnow_webhooks::store::{
    Backlog, ClaimedEvent, EventFilter, EventStore, Evidence, Lease, MemoryStore, NewEvent, Order,
    ParkLimits, ParkOutcome, ParkedToken, Replay, Retention, RetentionTooShort, SessionOrder, StoreError,
    StoredEvent,
};
use idnow_webhooks::{
    Admission, AdmissionError, AdmitOptions, Admitted, Backoff, ClaimsError, Clock, EventRouter, Failure,
    ForwardedError, HandlerError, Head, HeaderError, Health, Mismatch, MismatchKind, Outcome, PeerAddr,
    PolicyError, Receiver, ReceiverBuilder, ReceiverError, Refusal, RepeatedHandler, RequiredHeader,
    RequiredHeaderError, Secret, SystemClock, TokenError, Untrusted, VerifiedDelivery, VerifiedToken,
    Verifier, VerifierBuilder, VerifyError, Worker, WorkerBuilder, WorkerError,
};

fn shared<T: Debug + Send + Sync + 'static + ?Sized>() {}
fn cloned<T: Clone + Debug + Send + Sync + 'static>() {}
fn error<T: Error + Send + Sync + 'static>() {}
fn sent<T: Send>(_: T) {}

#[test]
fn what_users_hold_can_be_shared_and_shown() {
    cloned::<Receiver>();
    cloned::<Verifier>();
    cloned::<VerifierBuilder>();
    cloned::<EventRouter>();
    cloned::<Admission>();
    cloned::<Admitted>();
    cloned::<RequiredHeader>();
    cloned::<Secret>();
    cloned::<Untrusted>();
    cloned::<AdmitOptions>();
    cloned::<MismatchKind>();
    cloned::<ParkedToken>();
    cloned::<ParkLimits>();
    cloned::<Backoff>();
    cloned::<Health>();
    cloned::<PeerAddr>();
    cloned::<SystemClock>();
    cloned::<StaticKeys>();
    cloned::<SkippedKey>();
    cloned::<Algorithm>();
    cloned::<VerifiedDelivery>();
    cloned::<VerifiedToken>();
    cloned::<Failure>();
    shared::<Outcome>();
    shared::<HandlerError>();
    shared::<ReceiverBuilder>();
    shared::<Worker>();
    shared::<WorkerBuilder>();
    shared::<KeySet>();
    shared::<VerificationKey>();
    shared::<MemoryStore>();
    shared::<dyn Clock>();
    shared::<dyn KeySource>();
    shared::<dyn EventStore>();
}

#[test]
fn what_events_say_can_be_shared_and_shown() {
    cloned::<RawEvent>();
    cloned::<Event<SessionCreated>>();
    cloned::<Event<SessionCompleted>>();
    cloned::<Event<SessionExpired>>();
    cloned::<Event<SessionAborted>>();
    cloned::<Event<SessionError>>();
    cloned::<Session>();
    cloned::<SessionStatus>();
    cloned::<Run>();
    cloned::<NewEvent>();
    cloned::<StoredEvent>();
    cloned::<ClaimedEvent>();
    cloned::<Evidence>();
    cloned::<Lease>();
    cloned::<Order>();
    cloned::<SessionOrder>();
    cloned::<EventFilter>();
    cloned::<Replay>();
    cloned::<Retention>();
    cloned::<Backlog>();
    cloned::<ParkOutcome>();
}

#[test]
fn errors_can_be_passed_on() {
    error::<AdmissionError>();
    error::<ForwardedError>();
    error::<HeaderError>();
    error::<RequiredHeaderError>();
    error::<PolicyError>();
    error::<ReceiverError>();
    error::<WorkerError>();
    error::<RepeatedHandler>();
    error::<Refusal>();
    error::<TokenError>();
    error::<ClaimsError>();
    error::<Mismatch>();
    error::<VerifyError>();
    error::<Unreadable>();
    error::<KeySetError>();
    error::<KeysUnavailable>();
    error::<UnusableKey>();
    error::<UnknownAlgorithm>();
    error::<StoreError>();
    error::<RetentionTooShort>();
}

#[tokio::test]
async fn what_is_awaited_can_be_awaited_in_a_task() {
    let provider = idnow_webhooks_testkit::Provider::new();
    let receiver = provider.receiver().build().unwrap();
    let (method, headers) = (Method::POST, HeaderMap::new());
    let head = || Head { method: &method, headers: &headers, peer: None };
    let body = || stream::empty::<Result<&[u8], Infallible>>();
    sent(receiver.receive(head(), body()));
    sent(receiver.respond(head(), body()));
    sent(receiver.verify(head(), body()));
    sent(receiver.verify_as::<SessionCompleted, _, _, _>(head(), body()));
    sent(receiver.idle());
    sent(receiver.health());
    sent(Worker::builder(MemoryStore::new(), EventRouter::new()).start().unwrap().stop());
}

/// A key source of one's own can be kept, and asked how it is, while a receiver uses it.
#[tokio::test]
async fn a_source_of_keys_can_be_shared_with_a_receiver() {
    let provider = idnow_webhooks_testkit::Provider::new();
    let keys: std::sync::Arc<dyn KeySource> = std::sync::Arc::new(StaticKeys::new(provider.key().key_set()));
    let verifier =
        Verifier::builder().issuer(provider.issuer()).audience(provider.audience()).build().unwrap();
    let receiver = Receiver::builder(verifier, std::sync::Arc::clone(&keys))
        .handlers(EventRouter::new())
        .build()
        .unwrap();
    let outcome = provider.deliver(&receiver, &idnow_webhooks_testkit::SampleEvent::completed()).await;
    assert_eq!(outcome.code(), "handled", "{outcome:?}");
    assert_eq!((keys.current().len(), keys.age()), (1, None));
    assert_eq!(keys.refresh(std::time::Instant::now()).await.unwrap().len(), 1);
}

#[cfg(feature = "jwks")]
#[test]
fn keys() {
    use idnow_webhooks::jwks::{
        ConfigError, FetchError, JwksError, JwksSource, JwksSourceBuilder, Location, Status,
    };

    cloned::<JwksSource>();
    cloned::<JwksSourceBuilder>();
    cloned::<Location>();
    cloned::<Status>();
    error::<ConfigError>();
    error::<FetchError>();
    error::<JwksError>();
    sent(JwksSource::builder(Location::file("keys.json")).connect());
}

#[test]
fn settings() {
    use idnow_webhooks::Settings;
    use idnow_webhooks::settings::{
        Keys, OpenStoreError, Preset, SettingsError, SetupError, Store, UnknownStore, Variable,
    };

    cloned::<Settings>();
    cloned::<Keys>();
    cloned::<Preset>();
    cloned::<Store>();
    cloned::<Variable>();
    error::<SettingsError>();
    error::<SetupError>();
    error::<OpenStoreError>();
    error::<UnknownStore>();
    let variables = [
        ("IDNOW_ENVIRONMENT", "sandbox"),
        ("IDNOW_AUDIENCE", "https://bank.example/"),
        ("IDNOW_STORE", "memory"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::from_variables(variables).unwrap();
    sent(settings.queued(EventRouter::new()));
    sent(settings.inline(EventRouter::new()));
    sent(settings.receiver_builder());
    sent(settings.open_store());
    sent(settings.queued_on(MemoryStore::new(), EventRouter::new()));
    sent(settings.inline_on(MemoryStore::new(), EventRouter::new()));
    #[cfg(feature = "sqlite")]
    sent(settings.open_sqlite());
    #[cfg(feature = "postgres")]
    sent(settings.open_postgres());
}

#[cfg(feature = "sqlite")]
#[test]
fn the_store_in_a_file() {
    use idnow_webhooks::sqlite::{OpenError, SqliteStore, SqliteStoreBuilder, SqliteTransaction};

    cloned::<SqliteStore>();
    cloned::<SqliteStoreBuilder>();
    shared::<SqliteTransaction>();
    error::<OpenError>();
    sent(SqliteStore::open("events.db"));
    let _ = |store: SqliteStore, event: Event<SessionCompleted>| sent(store.transaction(&event));
    let _ = |transaction: SqliteTransaction| sent(transaction.commit());
    let _ = |transaction: SqliteTransaction| sent(transaction.rollback());
}

#[cfg(feature = "postgres")]
#[test]
fn the_store_in_postgresql() {
    use idnow_webhooks::postgres::{ConnectError, PostgresStore, PostgresStoreBuilder, PostgresTransaction};

    cloned::<PostgresStore>();
    cloned::<PostgresStoreBuilder>();
    shared::<PostgresTransaction>();
    error::<ConnectError>();
    sent(PostgresStore::connect("postgres://localhost/events"));
    let _ = |store: PostgresStore, event: Event<SessionCompleted>| sent(store.transaction(&event));
    let _ = |transaction: PostgresTransaction| sent(transaction.commit());
    let _ = |transaction: PostgresTransaction| sent(transaction.rollback());
}

#[cfg(feature = "axum")]
#[test]
fn layer_and_extractor() {
    use idnow_webhooks::axum::{Verified, VerifiedRejection, Webhook, WebhookLayer, WebhookService};

    cloned::<WebhookLayer>();
    cloned::<WebhookService>();
    cloned::<Webhook<()>>();
    cloned::<Verified<VerifiedDelivery>>();
    error::<VerifiedRejection>();
}

#[cfg(feature = "actix-web")]
#[test]
fn middleware() {
    cloned::<idnow_webhooks::actix_web::Webhook>();
}

#[cfg(feature = "warp")]
#[test]
fn filter() {
    let receiver = idnow_webhooks_testkit::Provider::new().receiver().build().unwrap();
    sent(idnow_webhooks::warp::webhook_at(receiver.clone(), "/webhooks/idnow"));
    sent(idnow_webhooks::warp::webhook(receiver));
}

#[cfg(feature = "program")]
#[tokio::test]
async fn programs() {
    use idnow_webhooks::program::{Log, LogError, LogWriter, Server, TimedStream, Tls, stop_signal};

    shared::<Log>();
    cloned::<LogWriter>();
    shared::<Server>();
    cloned::<Tls>();
    shared::<TimedStream<tokio::net::TcpStream>>();
    error::<LogError>();
    let server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    sent(server.serve(axum::Router::new(), stop_signal()));
}
