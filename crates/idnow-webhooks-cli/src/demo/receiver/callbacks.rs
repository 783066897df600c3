//! Callbacks that note what they see.

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};

use idnow_webhooks::event::{
    Event, EventPayload, Session, SessionAborted, SessionCompleted, SessionCreated, SessionError,
    SessionExpired, SessionStatus,
};
use idnow_webhooks::store::Order;
use idnow_webhooks::{EventRouter, HandlerError, HandlerResult};

#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn handlers(&self) -> EventRouter {
        let unknown = self.clone();
        EventRouter::new()
            .on(self.noting::<SessionCreated>())
            .on(self.noting::<SessionCompleted>())
            .on(self.noting::<SessionExpired>())
            .on(self.noting::<SessionAborted>())
            .on(self.noting::<SessionError>())
            .on_unknown(move |event| {
                unknown.note(format!("on_unknown({:?})", event.name));
                ready(Ok(()))
            })
    }

    fn note(&self, call: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// That of sessions that expire fails at first.
    fn noting<P>(&self) -> impl Fn(Event<P>) -> Ready<HandlerResult> + Send + Sync + 'static
    where
        P: EventPayload + Into<Session>,
    {
        let calls = self.clone();
        move |event| {
            let (name, sequence) = (P::NAME, event.sequence);
            let number = event.run().map_or(1, |run| run.number);
            let order = match event.run().map(|run| run.order) {
                Some(Order::AfterGap) => ", after a gap",
                Some(Order::Late) => ", late",
                _ => "",
            };
            let session: Session = event.payload.into();
            let fails = session.session_status == SessionStatus::Expired && number == 1;
            let ending = if fails { ": fails" } else { "" };
            calls.note(format!("on({name:?}) no. {sequence}, {}{order}{ending}", session.session_status));
            ready(if fails { Err(HandlerError::retry("not now")) } else { Ok(()) })
        }
    }
}
