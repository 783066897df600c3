use std::io;

use idnow_webhooks::EventRouter;
use idnow_webhooks::event::{Event, SessionCompleted};

async fn completed(event: Event<SessionCompleted>) -> Result<(), io::Error> {
    println!("{}", event.payload.session_id);
    Ok(())
}

fn main() {
    let _ = EventRouter::new().on(completed);
}
