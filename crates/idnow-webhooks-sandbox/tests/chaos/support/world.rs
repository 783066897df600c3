use std::time::{Duration, Instant};

use idnow_webhooks_sandbox::chaos::{ChaosReport, Fault};
use idnow_webhooks_sandbox::model::{
    Attempt, Delivery, DeliveryFilter, DeliveryState, Endpoint, NewEndpoint, NewFlow, NewSession, Outcome,
    PageRequest, Step,
};
use idnow_webhooks_sandbox::{Chaos, Sandbox, SandboxBuilder};
use uuid::Uuid;

use super::Sink;

const PATIENCE: Duration = Duration::from_mins(1);

/// Every fault, with this probability.
pub fn everything(seed: u64, probability: f64) -> Chaos {
    Fault::ALL.into_iter().fold(Chaos::new(seed), |chaos, fault| chaos.with(fault, probability))
}

/// A sandbox with a flow and an endpoint.
pub struct World {
    pub sandbox: Sandbox,
    pub flow: Uuid,
    pub endpoint: Endpoint,
}

impl World {
    /// A hundred times as fast as the provider, with two retries.
    pub async fn hasty(sink: &Sink, chaos: Chaos) -> Self {
        Self::start(Sandbox::builder().time_scale(100.0).max_retries(2).chaos(chaos), sink, |_| {}).await
    }

    pub async fn start(builder: SandboxBuilder, sink: &Sink, change: impl FnOnce(&mut NewEndpoint)) -> Self {
        idnow_webhooks_watch::watch();
        let sandbox = builder.start().await.unwrap();
        let flow = NewFlow { name: "flow".into(), session_ttl_seconds: 90 * 24 * 60 * 60 };
        let flow = sandbox.create_flow(flow).await.unwrap().id;
        let mut new = NewEndpoint::new(flow, "live", &sink.url);
        change(&mut new);
        let endpoint = sandbox.create_endpoint(new).await.unwrap();
        Self { sandbox, flow, endpoint }
    }

    /// A new session, which is one event.
    pub async fn event(&self) -> Uuid {
        let new = NewSession::new(self.flow, "live");
        self.sandbox.create_session(new).await.unwrap().id
    }

    pub async fn complete(&self, session: Uuid) {
        self.sandbox.drive(session, Step::Complete { outcome: Outcome::Accepted }).await.unwrap();
    }

    pub async fn deliveries(&self) -> Vec<Delivery> {
        let page = PageRequest { limit: 500, after: None };
        let page = self.sandbox.deliveries(DeliveryFilter::default(), page).await.unwrap();
        page.items.into_iter().rev().collect()
    }

    /// All deliveries, when all of them have ended.
    pub async fn ended(&self, count: usize) -> Vec<Delivery> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let deliveries = self.deliveries().await;
            let unfinished = |delivery: &Delivery| {
                matches!(delivery.state, DeliveryState::Waiting | DeliveryState::Sending)
            };
            if deliveries.len() == count && !deliveries.iter().any(unfinished) {
                return deliveries;
            }
            assert!(Instant::now() < deadline, "it is still so: {deliveries:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// From the first on.
    pub async fn attempts(&self, delivery: i64) -> Vec<Attempt> {
        let page = PageRequest { limit: 500, after: None };
        let mut attempts = self.sandbox.attempts(delivery, page).await.unwrap().items;
        attempts.reverse();
        attempts
    }

    /// One event, delivered, and how.
    pub async fn deliver_one(&self) -> Vec<Attempt> {
        self.event().await;
        let [delivery] = &self.ended(1).await[..] else { unreachable!() };
        assert_eq!(delivery.state, DeliveryState::Delivered);
        self.attempts(delivery.id).await
    }

    pub async fn report(&self) -> ChaosReport {
        self.sandbox.chaos().await.unwrap()
    }

    /// How often a fault of genuine attempts was counted.
    pub async fn count(&self, fault: Fault) -> u64 {
        let report = self.report().await;
        report.faults.iter().find(|count| count.fault == fault).unwrap().count
    }
}
