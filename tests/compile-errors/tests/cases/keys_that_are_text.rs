use idnow_webhooks::{Receiver, Verifier};

fn receiver(verifier: Verifier) {
    let _ = Receiver::builder(verifier, "https://bank.example/jwks.json").build();
}

fn main() {}
