//! The keys that signatures are verified with, and where they come from.
//!
//! A [`KeySet`] is an immutable snapshot: every key in it was checked and parsed once, when the set was
//! built. A [`KeySource`] hands out the current snapshot without waiting and, when a token names a key that
//! the snapshot lacks, fetches a new one. [`StaticKeys`] is the source for keys that are known beforehand;
//! the crate `idnow-webhooks-jwks` holds the one that follows the provider's key server.

mod algorithm;
mod jwk;
mod set;
mod source;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use jwk::UnusableKey;
pub use set::{KeySet, KeySetError, SkippedKey, VerificationKey};
pub use source::{KeySource, KeysUnavailable, StaticKeys};
