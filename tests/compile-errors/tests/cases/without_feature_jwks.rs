use idnow_webhooks::jwks::JwksSource;

fn main() {}
