//! Receivers that come and go behind the proxy, and the proxy itself that is reloaded.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::store::EventStore;
use idnow_webhooks_testkit::{Provider, SampleEvent};

use crate::nginx::in_front_of;
use crate::{Answer, Nginx, PATH, PROVIDER, World, delivery, send};

/// Lines of deliveries, one after the other in each.
const LINES: usize = 4;

/// Delivers new events until told to stop, and gives those that were answered 200, and all other answers.
async fn deliver(
    client: reqwest::Client,
    url: String,
    provider: Provider,
    stop: Arc<AtomicBool>,
) -> (Vec<String>, Vec<String>) {
    let (mut accepted, mut other) = (Vec::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let event = SampleEvent::completed();
        match delivery(&client, &url, provider.token(&event)).send().await {
            Ok(answer) if answer.status() == 200 => accepted.push(event.event_id().to_owned()),
            Ok(answer) => other.push(answer.status().to_string()),
            Err(error) => other.push(format!("{error:?}")),
        }
    }
    (accepted, other)
}

struct Load {
    stop: Arc<AtomicBool>,
    lines: Vec<tokio::task::JoinHandle<(Vec<String>, Vec<String>)>>,
}

impl Load {
    fn start(nginx: &Nginx, provider: &Provider) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let line = || {
            let (client, url) = (nginx.client(PROVIDER), nginx.url(PATH));
            tokio::spawn(deliver(client, url, provider.clone(), Arc::clone(&stop)))
        };
        let lines = (0..LINES).map(|_| line()).collect();
        Self { stop, lines }
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

/// All that were answered 200, and no others, are in the file.
async fn assert_stored(world: &World, accepted: Vec<String>) {
    let store = SqliteStore::open(world.store()).await.unwrap();
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
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        nginx.reload();
    }
    let (accepted, other) = load.end().await;
    assert_eq!(other, Vec::<String>::new());
    assert!(accepted.len() > 5 * LINES, "{}", accepted.len());
    receiver.terminate();
    assert_stored(&world, accepted).await;
}

#[tokio::test]
async fn a_receiver_that_is_down_is_a_502_and_takes_the_next_attempt() {
    let world = World::new();
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nginx = Nginx::start(&in_front_of(&[down]));
    let (client, url) = (nginx.client(PROVIDER), nginx.url(PATH));
    let event = SampleEvent::completed();
    let first = delivery(&client, &url, world.provider.token(&event));
    assert_eq!(send(first).await, Answer::of_nginx(502));

    let receiver = world.receiver_at(&down.to_string()).await;
    let second = delivery(&client, &url, world.provider.token(&event.with_attempt(2)));
    assert_eq!(second.send().await.unwrap().status(), 200);
    receiver.terminate();
}

/// A roll-out: one of two replicas stops, as it should, while deliveries go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stops_is_not_noticed_outside() {
    let world = World::new();
    let (one, other) = (world.receiver().await, world.receiver().await);
    let nginx = Nginx::start(&in_front_of(&[one.address, other.address]));
    let load = Load::start(&nginx, &world.provider);
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let address = one.address.to_string();
    tokio::task::block_in_place(|| one.terminate());
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let one = world.receiver_at(&address).await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let (accepted, refused) = load.end().await;
    assert_eq!(refused, Vec::<String>::new());
    assert!(accepted.len() > LINES, "{}", accepted.len());
    one.terminate();
    other.terminate();
    assert_stored(&world, accepted).await;
}
