use std::rc::Rc;

use idnow_webhooks::EventRouter;
use idnow_webhooks::event::{Event, SessionCompleted};

async fn save(_: &str) {}

fn main() {
    let _ = EventRouter::new().on(|event: Event<SessionCompleted>| async move {
        let id = Rc::new(event.id);
        save(&id).await;
        Ok(())
    });
}
