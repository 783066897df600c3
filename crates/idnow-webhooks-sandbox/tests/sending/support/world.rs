use std::time::{Duration, Instant};

use idnow_webhooks_sandbox::model::{
    Answer, Attempt, Delivery, DeliveryFilter, DeliveryState, Endpoint, NewEndpoint, NewFlow, NewSession,
    PageRequest,
};
use idnow_webhooks_sandbox::{Sandbox, SandboxBuilder};
use uuid::Uuid;

pub const ENVIRONMENT: &str = "live";
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until something is so.
pub async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited for {PATIENCE:?} until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A sandbox with a flow.
pub struct World {
    pub sandbox: Sandbox,
    pub flow: Uuid,
}

impl World {
    /// A thousand times as fast as the provider, and with a single retry.
    pub async fn hasty() -> Self {
        Self::start(Sandbox::builder().time_scale(1000.0).max_retries(1)).await
    }

    pub async fn start(builder: SandboxBuilder) -> Self {
        idnow_webhooks_watch::watch();
        let sandbox = builder.start().await.unwrap();
        let flow = NewFlow { name: "flow".into(), session_ttl_seconds: 90 * 24 * 60 * 60 };
        let flow = sandbox.create_flow(flow).await.unwrap().id;
        Self { sandbox, flow }
    }

    pub async fn endpoint(&self, url: &str) -> Endpoint {
        self.endpoint_with(url, |_| {}).await
    }

    pub async fn endpoint_with(&self, url: &str, change: impl FnOnce(&mut NewEndpoint)) -> Endpoint {
        let mut new = NewEndpoint::new(self.flow, ENVIRONMENT, url);
        change(&mut new);
        self.sandbox.create_endpoint(new).await.unwrap()
    }

    /// A new session, which is one event.
    pub async fn event(&self) -> Uuid {
        self.event_in(ENVIRONMENT).await
    }

    pub async fn event_in(&self, environment: &str) -> Uuid {
        let new = NewSession::new(self.flow, environment);
        self.sandbox.create_session(new).await.unwrap().id
    }

    pub async fn events(&self, count: usize) {
        for _ in 0..count {
            self.event().await;
        }
    }

    /// From the oldest on; all of them, up to 500.
    pub async fn deliveries(&self, endpoint: Uuid) -> Vec<Delivery> {
        let mut filter = DeliveryFilter::default();
        filter.endpoint_id = Some(endpoint);
        let page = PageRequest { limit: 500, after: None };
        let page = self.sandbox.deliveries(filter, page).await.unwrap();
        page.items.into_iter().rev().collect()
    }

    /// The only delivery to an endpoint, when it is in this state.
    pub async fn delivery_in(&self, endpoint: Uuid, state: DeliveryState) -> Delivery {
        self.delivery_when(endpoint, |delivery| delivery.state == state).await
    }

    pub async fn delivery_when(&self, endpoint: Uuid, is_so: impl Fn(&Delivery) -> bool) -> Delivery {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let deliveries = self.deliveries(endpoint).await;
            if let [delivery] = deliveries.as_slice()
                && is_so(delivery)
            {
                return delivery.clone();
            }
            assert!(Instant::now() < deadline, "it is still so: {deliveries:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Sends one event, and waits for the end of its only delivery.
    pub async fn send_one(&self, endpoint: &Endpoint) -> (Delivery, Vec<Attempt>) {
        self.event_in(&endpoint.environment).await;
        self.end_of_one(endpoint).await
    }

    pub async fn end_of_one(&self, endpoint: &Endpoint) -> (Delivery, Vec<Attempt>) {
        let ended =
            |delivery: &Delivery| !matches!(delivery.state, DeliveryState::Waiting | DeliveryState::Sending);
        let delivery = self.delivery_when(endpoint.id, ended).await;
        let attempts = self.attempts(delivery.id).await;
        (delivery, attempts)
    }

    /// From the first on.
    pub async fn attempts(&self, delivery: i64) -> Vec<Attempt> {
        let page = PageRequest { limit: 500, after: None };
        let mut attempts = self.sandbox.attempts(delivery, page).await.unwrap().items;
        attempts.reverse();
        attempts
    }

    /// Whether all deliveries to an endpoint have ended well, and how many.
    pub async fn delivered(&self, endpoint: Uuid) -> usize {
        let deliveries = self.deliveries(endpoint).await;
        deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Delivered).count()
    }
}

/// What an attempt was answered.
pub fn status(attempt: &Attempt) -> u16 {
    match &attempt.answer {
        Some(Answer::Status { code, .. }) => *code,
        other => panic!("no status: {other:?}"),
    }
}
