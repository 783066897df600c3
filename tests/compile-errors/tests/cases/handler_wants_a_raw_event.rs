use idnow_webhooks::EventRouter;
use idnow_webhooks::event::RawEvent;

fn main() {
    let _ = EventRouter::new().on(|event: RawEvent| async move {
        println!("{}", event.json());
        Ok(())
    });
}
