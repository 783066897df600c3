use idnow_webhooks::EventRouter;
use idnow_webhooks::event::{Event, SessionCompleted};

fn main() {
    let _ = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        println!("{}", event.payload.session_id);
    });
}
