use idnow_webhooks::EventRouter;
use idnow_webhooks::event::Event;

#[derive(serde::Deserialize)]
struct DocumentRenewed {
    document: String,
}

fn main() {
    let _ = EventRouter::new().on(|event: Event<DocumentRenewed>| async move {
        println!("{}", event.payload.document);
        Ok(())
    });
}
