use std::rc::Rc;

use idnow_webhooks::EventRouter;
use idnow_webhooks::event::{Event, SessionCompleted};

fn main() {
    let customers = Rc::new(String::from("customers"));
    let _ = EventRouter::new().on(move |event: Event<SessionCompleted>| {
        println!("{customers} {}", event.id);
        async { Ok(()) }
    });
}
