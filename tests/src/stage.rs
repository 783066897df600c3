use std::time::Duration;

use http::Request;
use idnow_webhooks_core::ReceiverBuilder;
use idnow_webhooks_testkit::{Provider, SampleEvent};

use crate::answer::Answer;
use crate::calls::Calls;
use crate::client::Client;
use crate::raw::Raw;
use crate::request::{Body, delivery};
use crate::servers::Running;
use crate::subject::Target;

/// What most cases need: a provider, a server that believes it, and the calls of its handlers.
#[derive(Debug)]
pub struct Stage {
    /// Who signs.
    pub provider: Provider,
    /// Which events reached the handler.
    pub calls: Calls,
    /// The server.
    pub server: Running,
    on: Target,
}

impl Stage {
    /// A receiver with all defaults.
    pub fn new(on: Target) -> Self {
        Self::with(on, |receiver, _| receiver)
    }

    /// A receiver whose settings are changed; its handlers note their calls unless they are replaced.
    pub fn with(on: Target, change: impl FnOnce(ReceiverBuilder, &Calls) -> ReceiverBuilder) -> Self {
        let provider = Provider::new();
        let calls = Calls::new();
        let receiver = change(provider.receiver().handlers(calls.router()), &calls);
        let server = on.start(receiver.build().unwrap());
        Self { provider, calls, server, on }
    }

    /// A new connection.
    pub async fn connect(&self) -> Client {
        self.on.connect(&self.server).await
    }

    /// A new connection on which anything can be written.
    pub async fn raw(&self) -> Raw {
        Raw::connect(self.server.address()).await
    }

    /// The answer to a request on a connection of its own.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        self.connect().await.send(request).await
    }

    /// A delivery of this event, by the provider's own hand.
    pub fn delivery(&self, event: &SampleEvent) -> Request<Body> {
        delivery(self.provider.token(event))
    }

    /// The answer to a delivery of this event.
    pub async fn deliver(&self, event: &SampleEvent) -> Answer {
        self.send(self.delivery(event)).await
    }

    /// Delivers an event again, as the provider would, for as long as an earlier attempt is still at work.
    pub async fn deliver_until_settled(&self, event: &SampleEvent) -> Answer {
        loop {
            let answer = self.deliver(event).await;
            if answer != Answer::refused(503, "in_progress") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Asserts that the server works: a new event is accepted and handled, once, beside those handled before.
    pub async fn assert_healthy(&self) {
        let event = SampleEvent::created();
        assert_eq!(self.deliver(&event).await, Answer::accepted());
        let handled = self.calls.ids().iter().filter(|id| *id == event.event_id()).count();
        assert_eq!(handled, 1);
    }
}
