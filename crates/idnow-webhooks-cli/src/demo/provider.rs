//! The provider, played by a sandbox, and what it saw of the answers.

use std::time::Duration;

use idnow_webhooks_sandbox::model::{
    Delivery, DeliveryFilter, DeliveryState, EventKind, NewEndpoint, NewFlow, NewSession, PageRequest, Step,
};
use idnow_webhooks_sandbox::{Sandbox, Trigger, model};
use idnow_webhooks_testkit::SampleEvent;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::answer::Answer;
use super::{Failure, PATIENCE};

/// How much sooner than the real provider it retries.
pub(super) const TIME_SCALE: f64 = 20.0;
const ENVIRONMENT: &str = "staging";
const DAY: u64 = 24 * 60 * 60;

pub(super) struct Provider {
    sandbox: Sandbox,
    flow: Uuid,
    receiver: String,
}

impl Provider {
    /// With an endpoint at this URL.
    pub(super) async fn start(receiver: &str) -> Result<Self, Failure> {
        let sandbox = Sandbox::builder().time_scale(TIME_SCALE).start().await?;
        let flow = NewFlow { name: "Identification".into(), session_ttl_seconds: DAY };
        let flow = sandbox.create_flow(flow).await?.id;
        sandbox.create_endpoint(NewEndpoint::new(flow, ENVIRONMENT, receiver)).await?;
        Ok(Self { sandbox, flow, receiver: receiver.to_owned() })
    }

    pub(super) fn url(&self) -> &str {
        self.sandbox.base_url()
    }

    pub(super) fn issuer(&self) -> &str {
        self.sandbox.issuer()
    }

    pub(super) async fn session(&self) -> Result<Uuid, Failure> {
        let new = NewSession::new(self.flow, ENVIRONMENT);
        Ok(self.sandbox.create_session(new).await?.id)
    }

    pub(super) async fn drive(&self, session: Uuid, step: Step) -> Result<(), Failure> {
        self.sandbox.drive(session, step).await?;
        Ok(())
    }

    /// All answers to an event of a session, once it is delivered or given up.
    pub(super) async fn answers(&self, session: Uuid, event: EventKind) -> Result<Vec<Answer>, Failure> {
        let ended =
            |delivery: &Delivery| !matches!(delivery.state, DeliveryState::Waiting | DeliveryState::Sending);
        let delivery = self.wait(session, event, ended).await?;
        let attempts = self.sandbox.attempts(delivery, PageRequest::default()).await?.items;
        Ok(attempts.iter().rev().map(|attempt| Answer::of_attempt(attempt.answer.as_ref())).collect())
    }

    /// Waits until an attempt was in vain.
    pub(super) async fn refused_once(&self, session: Uuid, event: EventKind) -> Result<(), Failure> {
        let waits_again =
            |delivery: &Delivery| delivery.attempts > 0 && delivery.state == DeliveryState::Waiting;
        self.wait(session, event, waits_again).await.map(drop)
    }

    async fn wait(
        &self,
        session: Uuid,
        event: EventKind,
        done: impl Fn(&Delivery) -> bool,
    ) -> Result<i64, Failure> {
        let mut filter = DeliveryFilter::default();
        filter.session_id = Some(session);
        let give_up = Instant::now() + PATIENCE;
        loop {
            let page = self.sandbox.deliveries(filter.clone(), PageRequest::default()).await?;
            let delivery = page.items.iter().find(|delivery| delivery.event_name == event.name());
            if let Some(delivery) = delivery.filter(|delivery| done(delivery)) {
                return Ok(delivery.id);
            }
            if Instant::now() > give_up {
                let event = event.name();
                return Err(format!(
                    "{event} of session {session} is not where it should be after {PATIENCE:?}: {delivery:?}"
                )
                .into());
            }
            sleep(Duration::from_millis(3)).await;
        }
    }

    /// Sends the example of the provider's documentation.
    pub(super) async fn published_example(&self) -> Result<Answer, Failure> {
        let mut trigger = Trigger::new(EventKind::Completed, &self.receiver);
        let mut members = vec![(String::new(), SampleEvent::published().data())];
        while let Some((path, value)) = members.pop() {
            match value {
                Value::Object(object) => {
                    members.extend(object.into_iter().map(|(name, value)| (format!("{path}.{name}"), value)));
                }
                Value::String(text) => trigger = trigger.set(path.trim_start_matches('.'), text),
                other => trigger = trigger.set(path.trim_start_matches('.'), other.to_string()),
            }
        }
        self.trigger(trigger).await
    }

    /// Sends an event of a kind that nobody knows.
    pub(super) async fn unknown_event(&self, name: &str) -> Result<Answer, Failure> {
        self.trigger(Trigger::new(EventKind::Completed, &self.receiver).set("eventName", name)).await
    }

    /// Sends an event to another customer's URL.
    pub(super) async fn event_for(&self, url: &str) -> Result<(), Failure> {
        self.trigger(Trigger::new(EventKind::Completed, url)).await.map(drop)
    }

    async fn trigger(&self, trigger: Trigger) -> Result<Answer, Failure> {
        Ok(Answer::of_attempt(Some(&self.sandbox.trigger(trigger).await?.answer)))
    }

    /// Everything that anybody may know of the key that signs.
    pub(super) async fn public_key(&self) -> Result<Value, Failure> {
        let jwks = self.sandbox.jwks().await?;
        Ok(jwks.pointer("/keys/0").cloned().ok_or("the sandbox publishes no key")?)
    }

    /// Signs with a new key from now on, and publishes the old one no longer.
    pub(super) async fn replace_key(&self) -> Result<(), Failure> {
        let old = self.sandbox.keys().await?.into_iter().find(|key| key.state == model::KeyState::Active);
        self.sandbox.rotate_keys().await?;
        if let Some(old) = old {
            self.sandbox.retire_key(&old.id).await?;
        }
        Ok(())
    }

    pub(super) async fn stop(self) {
        self.sandbox.stop().await;
    }
}
