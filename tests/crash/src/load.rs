use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use idnow_webhooks_testkit::Provider;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Chance, Ledger, PATH, Supply, eventually};

/// The provider waits for so long.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// More complaints than this say nothing new.
const MAX_COMPLAINTS: usize = 20;

/// Sends events over many connections, as the provider would: newly signed each time, again what was not answered 200,
/// and now and then again what was.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    targets: watch::Sender<Vec<SocketAddr>>,
    connections: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    provider: Provider,
    ledger: Mutex<Ledger>,
    stop: watch::Sender<bool>,
    /// Odd while the database is down.
    outages: AtomicU64,
    accepted: AtomicU64,
    unavailable: AtomicU64,
    /// 503 to what was sent while the database was down.
    unavailable_in_outages: AtomicU64,
    broken: AtomicU64,
    complaints: Mutex<Vec<String>>,
}

/// How many attempts ended in which way, so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// 200.
    pub accepted: u64,
    /// 503 with `Retry-After`.
    pub unavailable: u64,
    /// None: the connection could not be made, broke, or nothing came in 10 s.
    pub broken: u64,
}

impl Load {
    /// Begins, as soon as there is a [target](Self::send_to).
    pub fn start(provider: Provider, supply: Supply, connections: usize, chance: &mut Chance) -> Self {
        let ledger = Mutex::new(Ledger::new(supply, Chance::new(chance.below(u64::MAX))));
        let shared = Arc::new(Shared {
            provider,
            ledger,
            stop: watch::Sender::new(false),
            outages: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            unavailable_in_outages: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            complaints: Mutex::default(),
        });
        let targets = watch::Sender::new(Vec::new());
        let mut tasks = JoinSet::new();
        for number in 0..connections {
            let (shared, targets) = (Arc::clone(&shared), targets.subscribe());
            tasks.spawn(async move {
                let mut stop = shared.stop.subscribe();
                tokio::select! {
                    () = shared.connection(number, targets) => {}
                    // An attempt under way is lost, as if the provider had crashed.
                    _ = stop.wait_for(|stop| *stop) => {}
                }
            });
        }
        Self { shared, targets, connections: tasks }
    }

    /// Where to send from now on: to one of these.
    pub fn send_to(&self, targets: &[SocketAddr]) {
        self.targets.send_replace(targets.to_vec());
    }

    /// From now on the database is down: whatever is sent from here on must be answered 503.
    pub fn outage_begins(&self) {
        self.shared.outages.fetch_add(1, Ordering::SeqCst);
    }

    /// From now on the database may be back.
    pub fn outage_ends(&self) {
        self.shared.outages.fetch_add(1, Ordering::SeqCst);
    }

    /// How it went so far.
    pub fn answers(&self) -> Answers {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let Shared { accepted, unavailable, broken, .. } = &*self.shared;
        Answers { accepted: read(accepted), unavailable: read(unavailable), broken: read(broken) }
    }

    /// Waits until so many attempts more were answered 200.
    pub async fn accepts(&self, more: u64) {
        let before = self.answers().accepted;
        self.eventually("deliveries are answered 200", || self.answers().accepted >= before + more).await;
    }

    /// Waits until so many attempts more were answered 503, that were made while the database was down.
    pub async fn refuses(&self, more: u64) {
        let counter = &self.shared.unavailable_in_outages;
        let enough = counter.load(Ordering::SeqCst) + more;
        self.eventually("deliveries are answered 503", || counter.load(Ordering::SeqCst) >= enough).await;
    }

    /// Waits until every event of a limited supply was answered 200.
    pub async fn is_done(&self) {
        self.eventually("every event is answered 200", || self.shared.ledger().is_done()).await;
    }

    /// What was sent and answered so far.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger()
    }

    /// Stops sending.
    ///
    /// # Panics
    ///
    /// As the waits above: when there was an answer other than 200 and 503, a 503 without `Retry-After`, or something
    /// else than that while the database was down.
    #[expect(clippy::panic, reason = "this is the test")]
    pub async fn stop(&mut self) {
        self.shared.stop.send_replace(true);
        while let Some(ended) = self.connections.join_next().await {
            if let Err(error) = ended {
                panic!("a connection's task failed: {error}");
            }
        }
        self.assert_no_complaints();
    }

    async fn eventually(&self, what: &str, is_so: impl Fn() -> bool) {
        eventually(what, async || {
            self.assert_no_complaints();
            is_so()
        })
        .await;
    }

    fn assert_no_complaints(&self) {
        let complaints = self.shared.complaints();
        assert!(complaints.is_empty(), "wrong answers: {complaints:#?}");
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complaints(&self) -> MutexGuard<'_, Vec<String>> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complain(&self, complaint: String) {
        let mut complaints = self.complaints();
        if complaints.len() < MAX_COMPLAINTS {
            complaints.push(complaint);
        }
    }

    /// One connection after the other, until there is nothing more to be sent.
    async fn connection(&self, number: usize, mut targets: watch::Receiver<Vec<SocketAddr>>) {
        let mut chance = Chance::new(number as u64);
        while !self.ledger().is_done() {
            let target = chance.pick(&targets.borrow_and_update()).copied();
            let Some(target) = target else {
                if targets.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let moved = targets.clone();
            if let Some(sender) = connect(target).await {
                self.send_over(sender, target, &moved).await;
            } else {
                self.broken.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    /// Sends until the connection breaks or there are other targets.
    async fn send_over(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        target: SocketAddr,
        targets: &watch::Receiver<Vec<SocketAddr>>,
    ) {
        while !targets.has_changed().unwrap_or(true) {
            let next = self.ledger().next();
            let Some((index, event)) = next else {
                if self.ledger().is_done() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let token = self.provider.token(&event);
            let outage = self.outages.load(Ordering::SeqCst);
            let answer = tokio::time::timeout(ANSWER_LIMIT, send(&mut sender, target, token)).await;
            let still = self.outages.load(Ordering::SeqCst) == outage;
            let down = (still && outage % 2 == 1).then_some(outage.div_ceil(2));
            let accepted = matches!(answer, Ok(Some((StatusCode::OK, _))));
            self.ledger().note(index, accepted);
            let Ok(Some(answer)) = answer else {
                self.broken.fetch_add(1, Ordering::SeqCst);
                return;
            };
            self.judge(answer, down);
        }
    }

    fn judge(&self, (status, retry_after): (StatusCode, bool), down: Option<u64>) {
        if let Some(outage) = down
            && status != StatusCode::SERVICE_UNAVAILABLE
        {
            self.complain(format!("{status} while the database was down (outage {outage})"));
        }
        match status {
            StatusCode::OK => {
                self.accepted.fetch_add(1, Ordering::SeqCst);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                self.unavailable.fetch_add(1, Ordering::SeqCst);
                self.unavailable_in_outages.fetch_add(u64::from(down.is_some()), Ordering::SeqCst);
                if !retry_after {
                    self.complain("503 without Retry-After".into());
                }
            }
            other => self.complain(format!("{other}")),
        }
    }
}

async fn connect(target: SocketAddr) -> Option<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(target).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(async move { drop(connection.await) });
    Some(sender)
}

/// The status, and whether it says when to try again. `None` when no whole answer came.
async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    target: SocketAddr,
    token: String,
) -> Option<(StatusCode, bool)> {
    sender.ready().await.ok()?;
    let request = Request::post(PATH)
        .header(HOST, target.to_string())
        .header(CONTENT_TYPE, "application/jwt")
        .body(Full::from(token))
        .ok()?;
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    body.collect().await.ok()?;
    let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    Some((head.status, seconds.is_some()))
}
