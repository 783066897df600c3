use idnow_webhooks::EventRouter;
use idnow_webhooks::event::{Event, SessionCompleted};

fn main() {
    let customers = String::from("customers");
    let _ = EventRouter::new().on(|event: Event<SessionCompleted>| async {
        println!("{customers} {}", event.id);
        Ok(())
    });
}
