use idnow_webhooks::event::{Event, SessionCompleted};
use idnow_webhooks::{EventRouter, HandlerResult};

fn completed(event: Event<SessionCompleted>) -> HandlerResult {
    println!("{}", event.payload.session_id);
    Ok(())
}

fn main() {
    let _ = EventRouter::new().on(completed);
}
