use idnow_webhooks::warp::webhook_at;

fn main() {}
