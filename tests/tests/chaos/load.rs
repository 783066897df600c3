//! The provider's side.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use idnow_webhooks_sandbox::chaos::{ChaosReport, Fault};
use idnow_webhooks_sandbox::model::{
    DeadReason, DeliveryFilter, DeliveryState, Event, KeyState, NewEndpoint, NewFlow, PageRequest, Scenario,
    ScenarioKind,
};
use idnow_webhooks_sandbox::{Chaos, Sandbox};
use uuid::Uuid;

/// So many keys that do not sign any more stay published.
const PUBLISHED: usize = 4;
const ENVIRONMENT: &str = "live";
/// Of the last deliveries: their waits are up to five seconds long, and their receiver is busy.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) fn seed() -> u64 {
    match std::env::var("CHAOS_SEED") {
        Ok(seed) => seed.parse().expect("CHAOS_SEED is a whole number"),
        Err(_) => RandomState::new().hash_one("seed") % 1_000_000,
    }
}

/// Every fault.
pub(crate) fn chaos(seed: u64) -> Chaos {
    let all = Fault::ALL.into_iter().fold(Chaos::new(seed), |chaos, fault| chaos.with(fault, 0.08));
    all.with(Fault::Duplicate, 0.2).with(Fault::Reorder, 0.3)
}

pub(crate) struct Load {
    pub(crate) sandbox: Sandbox,
    flow: Uuid,
}

impl Load {
    pub(crate) async fn start(chaos: &Chaos) -> Self {
        let builder = Sandbox::builder().time_scale(100.0).answer_deadline(Duration::from_secs(4));
        let sandbox = builder.chaos(chaos.clone()).start().await.unwrap();
        let flow = NewFlow { name: "chaos".into(), session_ttl_seconds: 24 * 60 * 60 };
        let flow = sandbox.create_flow(flow).await.unwrap().id;
        Self { sandbox, flow }
    }

    pub(crate) async fn endpoint(&self, url: &str) {
        self.sandbox.create_endpoint(NewEndpoint::new(self.flow, ENVIRONMENT, url)).await.unwrap();
    }

    pub(crate) async fn storm(&self, sessions: u32) {
        let mut storm = Scenario::new(ScenarioKind::Storm, self.flow, ENVIRONMENT);
        storm.sessions = Some(sessions);
        self.sandbox.play(storm).await.unwrap();
    }

    pub(crate) async fn unfinished(&self) -> u64 {
        let deliveries = self.sandbox.counts().await.unwrap().deliveries;
        deliveries.waiting + deliveries.sending
    }

    /// All that were ever made.
    pub(crate) async fn deliveries(&self) -> u64 {
        let counts = self.sandbox.counts().await.unwrap().deliveries;
        counts.waiting + counts.sending + counts.delivered + counts.dead + counts.endpoint_deleted
    }

    /// A new key, and all but the last few are retired.
    pub(crate) async fn rotate_keys(&self) {
        self.sandbox.rotate_keys().await.unwrap();
        let keys = self.sandbox.keys().await.unwrap();
        // Those of chaos, which retires them itself, are among them: retired once more, a key stays so.
        let published = keys.iter().filter(|key| key.state == KeyState::Published);
        for key in published.rev().skip(PUBLISHED) {
            self.sandbox.retire_key(&key.id).await.unwrap();
        }
    }

    /// Waits until every delivery has arrived. Gives how many the provider had given up first: eleven attempts are ten
    /// seconds here, and a busy machine may be slow for longer. Such a dead letter is triggered again, as an operator would
    /// do it; one that was refused is left.
    pub(crate) async fn ends(&self) -> u64 {
        let mut again = 0;
        loop {
            self.is_below(1).await;
            let mut filter = DeliveryFilter::default();
            filter.state = Some(DeliveryState::Dead);
            let dead =
                self.sandbox.deliveries(filter, PageRequest { limit: 500, after: None }).await.unwrap();
            let exhausted =
                dead.items.iter().filter(|dead| dead.dead_reason == Some(DeadReason::RetriesExhausted));
            let exhausted: Vec<_> = exhausted.map(|dead| dead.id).collect();
            if exhausted.is_empty() {
                return again;
            }
            again += self.sandbox.retrigger_many(&exhausted).await.unwrap();
        }
    }

    /// Waits until fewer deliveries than so many are on their way.
    pub(crate) async fn is_below(&self, limit: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.unfinished().await >= limit {
            let counts = self.sandbox.counts().await.unwrap();
            assert!(Instant::now() < deadline, "after {PATIENCE:?}: {counts:?}, {:?}", self.dead().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.sandbox.events(None, PageRequest { limit: 500, after }).await.unwrap();
            all.extend(page.items);
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    }

    /// What has become of the deliveries that did not arrive.
    pub(crate) async fn dead(&self) -> Vec<String> {
        let mut filter = DeliveryFilter::default();
        filter.state = Some(DeliveryState::Dead);
        let first = || PageRequest { limit: 20, after: None };
        let mut told = Vec::new();
        for delivery in self.sandbox.deliveries(filter, first()).await.unwrap().items {
            let attempts = self.sandbox.attempts(delivery.id, first()).await.unwrap().items;
            told.push(format!("{delivery:?} is dead: {attempts:?}"));
        }
        told
    }

    /// How many attempts deliveries have had, and what forgeries came to.
    pub(crate) async fn told(&self, report: &ChaosReport) -> String {
        let (mut attempts, mut after) = (BTreeMap::<u32, u32>::new(), None);
        loop {
            let page = PageRequest { limit: 500, after };
            let page = self.sandbox.deliveries(DeliveryFilter::default(), page).await.unwrap();
            for delivery in &page.items {
                *attempts.entry(delivery.attempts).or_default() += 1;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let sent: u64 = report.forgeries.iter().map(|row| row.sent).sum();
        format!("deliveries by attempts: {attempts:?}; {sent} forgeries")
    }
}
