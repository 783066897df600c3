//! The core of the idnow-webhooks SDK: everything between a request and a typed event, free of any web framework.
//!
//! Most people want the crate `idnow-webhooks`, which brings this one along together with an adapter for
//! their web framework. This crate is for those who write an adapter, a store or a key source.
//!
//! A delivery takes one path, through [`Receiver::receive`]:
//!
//! 1. **Admission** ([`Admission`]): source address and required headers, before the body.
//! 2. **Body**: one bounded read.
//! 3. **Verification** ([`Verifier`]): bytes, [`keys`] and the time in; a [`VerifiedToken`] out.
//! 4. **Intake**: inline, the handlers of an [`EventRouter`] run now and their result is the answer; queued, the
//!    event is written to an [`EventStore`](store::EventStore) and answered at once.
//!
//! In queued mode a [`Worker`] then runs the handlers.
//!
//! The [`Outcome`] says how to answer; its module holds the one table of statuses.

mod admission;
mod backoff;
mod base64url;
mod body;
mod clock;
mod deadline;
pub mod event;
mod handler;
mod handling;
mod health;
mod json;
pub mod keys;
mod one_line;
mod outcome;
#[cfg(test)]
mod properties;
mod receiver;
mod router;
mod secret;
pub mod store;
pub mod telemetry;
mod token;
mod turns;
mod verifier;
mod worker;

pub use admission::{
    Admission, AdmissionError, Admitted, ForwardedError, HeaderError, RequiredHeader, RequiredHeaderError,
};
pub use backoff::Backoff;
pub use clock::{Clock, SystemClock};
pub use handler::{HandlerError, HandlerResult};
pub use health::{Health, KeysHealth};
pub use outcome::{Outcome, Refusal};
pub use receiver::{
    AdmitOptions, Head, PeerAddr, Receiver, ReceiverBuilder, ReceiverError, VerifiedDelivery,
};
pub use router::{EventRouter, Failure, RepeatedHandler};
pub use secret::Secret;
pub use verifier::{
    ClaimsError, Mismatch, MismatchKind, PolicyError, TokenError, Untrusted, VerifiedToken, Verifier,
    VerifierBuilder, VerifyError,
};
pub use worker::{Worker, WorkerBuilder, WorkerError};
