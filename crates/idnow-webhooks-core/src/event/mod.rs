//! What a webhook says: the envelope, the payloads of the five session events, and room for others.
//!
//! [`RawEvent`] is the envelope with its payload still unread; [`Event<P>`] is one whose payload was read as
//! `P`. Both keep the verified JSON text, so that members this version does not know stay reachable. The
//! facts come from the provider's page "Webhook events".

mod arrival;
mod envelope;
mod flexible;
mod run;
mod session;
mod unreadable;

pub(crate) use arrival::Arrival;
pub(crate) use envelope::Subject;
pub use envelope::{Event, EventPayload, RawEvent, RawPayload};
pub(crate) use flexible::UNREADABLE_PREFIX;
pub use run::Run;
pub use session::{
    Session, SessionAborted, SessionCompleted, SessionCreated, SessionError, SessionExpired, SessionStatus,
};
pub use unreadable::Unreadable;

/// The names of the events that the provider documents.
pub const DOCUMENTED_NAMES: &[&str] = &[
    SessionCreated::NAME,
    SessionCompleted::NAME,
    SessionExpired::NAME,
    SessionAborted::NAME,
    SessionError::NAME,
];

#[cfg(test)]
mod tests;
