use idnow_webhooks::EventRouter;
use idnow_webhooks::event::SessionCompleted;

fn main() {
    let _ = EventRouter::new().on(|payload: SessionCompleted| async move {
        println!("{}", payload.session_id);
        Ok(())
    });
}
