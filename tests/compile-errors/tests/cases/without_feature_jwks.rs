use idnow_webhooks::Settings;

fn main() {}
