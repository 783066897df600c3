use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use idnow_webhooks_core::event::RawEvent;
use idnow_webhooks_core::{EventRouter, HandlerResult};
use tokio::sync::Semaphore;

/// Notes the ids of the events whose handler ran to its end.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    /// Nothing noted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A router that notes every event.
    pub fn router(&self) -> EventRouter {
        self.router_then(|| async { Ok(()) })
    }

    /// A router that notes every event and then does as told.
    pub fn router_then<F, R>(&self, then: F) -> EventRouter
    where
        F: Fn() -> R + Clone + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        let calls = self.clone();
        EventRouter::new().on_any(move |event: RawEvent| {
            let (calls, then) = (calls.clone(), then.clone());
            async move {
                calls.note(event.id);
                then().await
            }
        })
    }

    /// A router whose handlers wait at the gate, and note the event only when they are let through.
    pub fn router_behind(&self, gate: &Gate) -> EventRouter {
        let (calls, gate) = (self.clone(), gate.clone());
        EventRouter::new().on_any(move |event: RawEvent| {
            let (calls, gate) = (calls.clone(), gate.clone());
            async move {
                gate.pass().await;
                calls.note(event.id);
                Ok(())
            }
        })
    }

    /// Notes one call.
    pub fn note(&self, id: impl Into<String>) {
        self.0.lock().unwrap().push(id.into());
    }

    /// What was noted, in order.
    pub fn ids(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// How many calls were noted.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Waits until so many calls are noted.
    pub async fn reach(&self, count: usize) {
        wait_until("the handlers have run", || self.count() >= count).await;
    }
}

/// Where handlers stop until the test lets them go on.
#[derive(Debug, Clone)]
pub struct Gate {
    arrived: Arc<Mutex<usize>>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self { arrived: Arc::default(), open: Arc::new(Semaphore::new(0)) }
    }

    /// Waits until the gate is open.
    pub async fn pass(&self) {
        *self.arrived.lock().unwrap() += 1;
        drop(self.open.acquire().await);
    }

    /// Opens it for good.
    pub fn open(&self) {
        self.open.close();
    }

    /// Waits until so many handlers stand, or have stood, before the gate.
    pub async fn reached_by(&self, count: usize) {
        wait_until("the handlers stand before the gate", || *self.arrived.lock().unwrap() >= count).await;
    }
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
