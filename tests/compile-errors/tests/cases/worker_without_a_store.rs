use idnow_webhooks::{EventRouter, Worker};

fn main() {
    let _ = Worker::builder(EventRouter::new()).start();
}
