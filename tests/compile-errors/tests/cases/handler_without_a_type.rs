use idnow_webhooks::EventRouter;

fn main() {
    let _ = EventRouter::new().on(|event| async move {
        println!("{}", event.id);
        Ok(())
    });
}
