use idnow_webhooks::keys::{KeySet, StaticKeys};
use idnow_webhooks::{Receiver, Verifier};

fn main() {
    let verifier = Verifier::builder().issuer("https://issuer.example").audience("https://bank.example");
    let _ = Receiver::builder(verifier, StaticKeys::new(KeySet::default())).build();
}
