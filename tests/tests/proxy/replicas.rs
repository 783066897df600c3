//! Receivers that come and go behind the proxy, and the proxy itself that is reloaded.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::store::EventStore;
use idnow_webhooks_conformance::Reserved;
use idnow_webhooks_postgres::PostgresStore;
use idnow_webhooks_private_postgres::PrivatePostgres;
use idnow_webhooks_testkit::{Provider, SampleEvent, SigningKey};

use crate::nginx::{edit, in_front_of};
use crate::receiver::Receiver;
use crate::{Answer, Nginx, PATH, PROVIDER, World, delivery, send};

/// Lines of deliveries, one after the other in each.
const LINES: usize = 4;

/// Deliveries in each line between one event of a test and the next.
const IN_BETWEEN: usize = 10;
/// Longer than they take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Delivers new events until told to stop, and gives those that were answered 200, and all other answers.
async fn deliver(
    client: reqwest::Client,
    url: String,
    provider: Provider,
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
) -> (Vec<String>, Vec<String>) {
    let (mut accepted, mut other) = (Vec::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let event = SampleEvent::completed();
        match delivery(&client, &url, provider.token(&event)).send().await {
            Ok(answer) if answer.status() == 200 => accepted.push(event.event_id().to_owned()),
            Ok(answer) => other.push(answer.status().to_string()),
            Err(error) => other.push(format!("{error:?}")),
        }
        answers.fetch_add(1, Ordering::Relaxed);
    }
    (accepted, other)
}

struct Load {
    stop: Arc<AtomicBool>,
    /// How many deliveries of all lines have ended.
    answers: Arc<AtomicUsize>,
    lines: Vec<tokio::task::JoinHandle<(Vec<String>, Vec<String>)>>,
}

impl Load {
    fn start(nginx: &Nginx, provider: &Provider) -> Self {
        let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let line = || {
            let (client, url) = (nginx.client(PROVIDER), nginx.url(PATH));
            tokio::spawn(deliver(client, url, provider.clone(), Arc::clone(&stop), Arc::clone(&answers)))
        };
        let lines = (0..LINES).map(|_| line()).collect();
        Self { stop, answers, lines }
    }

    /// Waits while further deliveries come and go.
    async fn goes_on(&self) {
        let enough = self.answers.load(Ordering::Relaxed) + LINES * IN_BETWEEN;
        eventually("further deliveries", || self.answers.load(Ordering::Relaxed) >= enough).await;
    }

    /// Waits until some have come to this receiver.
    async fn reaches(&self, receiver: &Receiver) {
        eventually("deliveries to it", || receiver.log().contains("delivery accepted")).await;
        self.goes_on().await;
    }

    async fn end(self) -> (Vec<String>, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut accepted, mut other) = (Vec::new(), Vec::new());
        for line in self.lines {
            let (some, rest) = line.await.unwrap();
            accepted.extend(some);
            other.extend(rest);
        }
        (accepted, other)
    }
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {what} for {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// All that were answered 200, and no others, are in the store.
async fn assert_stored(store: &dyn EventStore, accepted: Vec<String>) {
    let backlog = store.backlog().await.unwrap();
    let stored = store.completed().await.unwrap() + backlog.waiting + backlog.running + backlog.dead;
    let accepted: HashSet<_> = accepted.into_iter().collect();
    assert_eq!(stored, u64::try_from(accepted.len()).unwrap());
    for id in accepted {
        assert!(store.get(&id).await.unwrap().is_some(), "{id} was answered 200");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_during_deliveries_loses_none() {
    let world = World::new();
    let receiver = world.receiver().await;
    let nginx = Nginx::start(&in_front_of(&[receiver.address]));
    let load = Load::start(&nginx, &world.provider);
    for _ in 0..5 {
        load.goes_on().await;
        nginx.reload();
    }
    load.goes_on().await;
    let (accepted, other) = load.end().await;
    assert_eq!(other, Vec::<String>::new());
    receiver.terminate();
    let store = SqliteStore::open(world.file()).await.unwrap();
    assert_stored(&store, accepted).await;
}

#[tokio::test]
async fn a_receiver_that_is_down_is_a_502_and_takes_the_next_attempt() {
    let world = World::new();
    let reserved = Reserved::new();
    let nginx = Nginx::start(&in_front_of(&[reserved.address()]));
    let (client, url) = (nginx.client(PROVIDER), nginx.url(PATH));
    let event = SampleEvent::completed();
    let first = delivery(&client, &url, world.provider.token(&event));
    assert_eq!(send(first).await, Answer::of_nginx(502));

    let receiver = world.receiver_at(reserved.address()).await;
    let second = delivery(&client, &url, world.provider.token(&event.with_attempt(2)));
    assert_eq!(second.send().await.unwrap().status(), 200);
    receiver.terminate();
}

/// A roll-out: one of two replicas stops, as it should, and comes back, while deliveries go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stops_is_not_noticed_outside() {
    // Two processes on one file wait for each other's writes, and on a slow disk too long for a 200.
    let server = PrivatePostgres::start().await.unwrap();
    let url = server.create_database().await.unwrap();
    let world = World::on(url.clone());
    // While it is stopped, the proxy's own connections must not get its port.
    let reserved = Reserved::new();
    let (one, other) = (world.receiver_at(reserved.address()).await, world.receiver().await);
    let nginx = Nginx::start(&in_front_of(&[one.address, other.address]));
    let load = Load::start(&nginx, &world.provider);
    load.reaches(&one).await;
    load.reaches(&other).await;
    tokio::task::block_in_place(|| one.terminate());
    load.goes_on().await;
    let one = world.receiver_at(reserved.address()).await;
    load.reaches(&one).await;
    let (accepted, refused) = load.end().await;
    assert_eq!(refused, Vec::<String>::new());
    one.terminate();
    other.terminate();
    assert_stored(&PostgresStore::connect(&url).await.unwrap(), accepted).await;
}

/// How many deliveries anybody sends that nobody can verify.
const FORGERIES: usize = 1000;

/// Tokens with made-up key ids, many at a time: the answers, and how many there were of each.
async fn flood(nginx: &Nginx, provider: &Provider) -> BTreeMap<String, usize> {
    let (client, url) = (nginx.client(PROVIDER), nginx.url(PATH));
    let forged = |number: usize| {
        let key = SigningKey::shared_other().with_key_id(format!("made up {number}"));
        let token = provider.clone().with_key(key).token(&SampleEvent::completed());
        send(delivery(&client, &url, token))
    };
    let answers = stream::iter(0..FORGERIES).map(forged).buffer_unordered(16);
    let count = |mut counts: BTreeMap<String, usize>, answer: Answer| async move {
        *counts.entry(format!("{} {}", answer.status, answer.code.unwrap_or_default())).or_default() += 1;
        counts
    };
    answers.fold(BTreeMap::new(), count).await
}

/// Anybody can cause 503. A proxy that took it for a sign of a sick replica would take them all out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_unknown_keys_take_no_replica_out() {
    let server = PrivatePostgres::start().await.unwrap();
    let world = World::on(server.create_database().await.unwrap());
    let replicas = [world.receiver().await, world.receiver().await];
    let nginx = Nginx::start(&in_front_of(&[replicas[0].address, replicas[1].address]));

    let answers = flood(&nginx, &world.provider).await;
    let expected = ["503 keys_unavailable", "503 unknown_key"];
    assert_eq!(answers.keys().collect::<Vec<_>>(), expected, "{answers:?}");
    assert_eq!(answers.values().sum::<usize>(), FORGERIES);

    let genuine = || {
        delivery(&nginx.client(PROVIDER), &nginx.url(PATH), world.provider.token(&SampleEvent::completed()))
    };
    assert_eq!(genuine().send().await.unwrap().status(), 200);
    // Both are still there: the one that had this delivery, and the other one.
    for replica in &replicas {
        let accepted = || replica.log().contains("delivery accepted");
        for _ in 0..10 {
            assert_eq!(genuine().send().await.unwrap().status(), 200);
        }
        assert!(accepted(), "a replica was taken out: {}", nginx.log());
    }
    assert!(!nginx.log().contains("temporarily disabled"), "{}", nginx.log());
    for replica in replicas {
        replica.terminate();
    }
}

/// What the guide warns of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_http_503_as_a_sign_of_failure_anybody_takes_all_replicas_out() {
    let world = World::new();
    let replicas = [world.receiver().await, world.receiver().await];
    let counting = edit(
        &in_front_of(&[replicas[0].address, replicas[1].address]),
        "proxy_next_upstream error non_idempotent;",
        "proxy_next_upstream error non_idempotent http_503;",
    );
    let nginx = Nginx::start(&counting);
    let answers = flood(&nginx, &world.provider).await;
    assert!(answers.contains_key("502 "), "{answers:?}");
    assert!(nginx.log().contains("temporarily disabled"), "{}", nginx.log());
}
