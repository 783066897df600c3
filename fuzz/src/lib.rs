//! What several targets share: keys of a provider, and tokens that it signed. The private halves were thrown away.

use idnow_webhooks_core::keys::{Algorithm, KeySet};
use idnow_webhooks_core::{Verifier, VerifierBuilder};
use idnow_webhooks_testkit::Provider;

const KEYS: &str = include_str!("../fixed/jwks.json");
const GENUINE: [&str; 3] = [
    include_str!("../fixed/rs256.jwt"),
    include_str!("../fixed/es256.jwt"),
    include_str!("../fixed/eddsa.jwt"),
];

/// When the tokens were signed, in seconds since the epoch. They last for an hour.
pub const SIGNED_AT: i64 = 1_767_861_339;

/// All tokens that are genuine.
#[must_use]
pub fn genuine() -> [&'static str; 3] {
    GENUINE.map(str::trim_end)
}

/// Whether this is one of them, byte for byte.
#[must_use]
pub fn is_genuine(token: &[u8]) -> bool {
    genuine().iter().any(|genuine| genuine.as_bytes() == token)
}

/// The public halves of the keys that signed them.
///
/// # Panics
///
/// If the file is no JWKS.
#[must_use]
pub fn keys() -> KeySet {
    KeySet::from_jwks(KEYS.as_bytes()).expect("keys")
}

/// For the provider's tokens, by these algorithms.
pub fn verifier(algorithms: impl IntoIterator<Item = Algorithm>) -> VerifierBuilder {
    Verifier::builder().issuer(Provider::ISSUER).audience(Provider::AUDIENCE).algorithms(algorithms)
}

/// All but those with a shared secret.
pub fn asymmetric() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_hmac())
}
