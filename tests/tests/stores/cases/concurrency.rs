//! Several workers at once, on two handles of one store, with everything that can happen to an event.

use tokio::sync::RwLock;

use super::prelude::*;

const SESSIONS: u64 = 12;
const EVENTS_EACH: u64 = 12;
const WORKERS: u64 = 6;
const TOTAL: u64 = SESSIONS * EVENTS_EACH;

/// What the workers know of each other, to catch the store when it lets two of them into one session.
#[derive(Default)]
struct Seen {
    /// The event of each session that runs.
    running: HashMap<String, String>,
    /// The highest number of each session that is completed.
    highest: HashMap<String, u64>,
    /// How often each event was completed or buried.
    ended: HashMap<String, u64>,
}

struct Crew {
    seen: Mutex<Seen>,
    /// Workers hold it while they hold leases. Whoever has it alone may let leases run out.
    leases: RwLock<()>,
    grace: u64,
}

fn name(session: u64, number: u64) -> String {
    format!("s{session}/{number}")
}

fn parts(id: &str) -> (String, u64) {
    let (session, number) = id.split_once('/').unwrap();
    (session.to_owned(), number.parse().unwrap())
}

impl Crew {
    /// One round of a worker: claims, and ends what it got in one way or another.
    async fn round(&self, store: &Arc<dyn EventStore>, chance: &mut Chance, heeds: SessionOrder) {
        let _leases = self.leases.read().await;
        let claim = Claim { limit: 1 + chance.index(5), lease: LEASE, order: heeds };
        let claimed = store.claim(claim).await.unwrap();
        for event in &claimed {
            self.enter(event);
        }
        for event in claimed {
            for _ in 0..chance.below(3) {
                tokio::task::yield_now().await;
            }
            self.end(store, chance, event).await;
        }
    }

    fn enter(&self, event: &ClaimedEvent) {
        let id = event.lease.event_id.to_string();
        let (session, number) = parts(&id);
        let mut seen = self.seen.lock().unwrap();
        let highest = seen.highest.get(&session).copied().unwrap_or(0);
        let expected = Order::judge(number, highest, Duration::MAX, seconds(self.grace)).unwrap();
        assert_eq!(event.order, expected, "{id} after {highest}");
        assert_eq!(seen.ended.get(&id), None, "{id} runs again although it ended");
        let other = seen.running.insert(session, id.clone());
        assert_eq!(other, None, "another one of the session of {id} runs");
    }

    async fn end(&self, store: &Arc<dyn EventStore>, chance: &mut Chance, event: ClaimedEvent) {
        let (lease, id) = (event.lease, event.data);
        let id = NewEvent::from_json(&id).id.to_string();
        assert_eq!(id, *lease.event_id);
        let (session, number) = parts(&id);
        let fate = chance.below(20);
        {
            // Before the store knows: by the time it does, the next one may run.
            let mut seen = self.seen.lock().unwrap();
            seen.running.remove(&session);
            if fate < 12 {
                let highest = seen.highest.entry(session).or_default();
                *highest = number.max(*highest);
            }
            if fate < 13 {
                *seen.ended.entry(id).or_default() += 1;
            }
        }
        match fate {
            0..12 => store.complete(&lease).await.unwrap(),
            12 => store.bury(&lease, "bad").await.unwrap(),
            13..16 => store.retry(&lease, seconds(fate - 12), "failed").await.unwrap(),
            16..18 => store.release(&lease).await.unwrap(),
            // The worker dies.
            _ => {}
        }
    }

    fn ended(&self) -> u64 {
        self.seen.lock().unwrap().ended.len() as u64
    }
}

async fn work(on: &Stage, heeds: SessionOrder, grace: u64) {
    let crew = Arc::new(Crew { seen: Mutex::default(), leases: RwLock::new(()), grace });
    let stores = [Arc::clone(&on.store), on.another().await];
    let mut names: Vec<_> =
        (0..SESSIONS).flat_map(|session| (1..=EVENTS_EACH).map(move |number| (session, number))).collect();
    Chance::new(grace).shuffle(&mut names);
    let bringers = names.chunks(24).map(<[_]>::to_vec).map(|names| {
        let store = Arc::clone(&on.store);
        async move {
            for (session, number) in names {
                let event = in_session(&name(session, number), &format!("s{session}"), number);
                assert_eq!(store.insert(event).await.unwrap(), Insertion::New);
            }
        }
    });
    let bringers = tokio::spawn(at_once(bringers.collect::<Vec<_>>()));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (crew, store) =
                (Arc::clone(&crew), Arc::clone(&stores[usize::try_from(worker % 2).unwrap()]));
            let mut chance = Chance::new(worker * 1000 + grace);
            tokio::spawn(async move {
                while crew.ended() < TOTAL {
                    crew.round(&store, &mut chance, heeds).await;
                    tokio::time::sleep(Duration::from_micros(300)).await;
                }
            })
        })
        .collect();
    let mut before = 0;
    while crew.ended() < TOTAL && workers.iter().all(|worker| !worker.is_finished()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        on.advance(seconds(1));
        let now = crew.ended();
        if now == before {
            // Nobody is at work, so only the leases of the dead run out.
            let _alone = crew.leases.write().await;
            on.advance(LEASE);
        }
        before = now;
    }
    for worker in workers {
        worker.await.unwrap();
    }
    bringers.await.unwrap();
    assert!(crew.seen.lock().unwrap().ended.values().all(|times| *times == 1));
    let backlog = on.store.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.running), (0, 0));
    assert_eq!(on.store.completed().await.unwrap() + backlog.dead, TOTAL);
}

pub(crate) async fn one_of_a_session_at_a_time_and_in_order(on: Stage) {
    work(&on, SessionOrder::default(), 0).await;
}

pub(crate) async fn one_of_a_session_at_a_time_with_grace(on: Stage) {
    work(&on, grace(20), 20).await;
}
