use std::time::Duration;

use idnow_webhooks_sandbox::model::{NewEndpoint, PageRequest, Step};
use idnow_webhooks_sandbox::{Error, Sandbox};
use tokio::net::TcpListener;

use super::{NOBODY, flow, session, until};

#[tokio::test]
async fn history_is_removed_in_the_background() {
    let builder = Sandbox::builder().keep_history(Duration::from_secs(1)).max_retries(0);
    let sandbox = builder.time_scale(1000.0).start().await.unwrap();
    let flow = flow(&sandbox).await;
    let nobody = sandbox.create_endpoint(NewEndpoint::new(flow.id, "staging", NOBODY)).await.unwrap();
    // It takes calls, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let mut new = NewEndpoint::new(flow.id, "staging", url);
    new.events = ["session.error".to_owned()].into();
    sandbox.create_endpoint(new).await.unwrap();

    let (gone, kept) = (session(&sandbox, flow.id).await, session(&sandbox, flow.id).await);
    sandbox.drive(gone.id, Step::Abort).await.unwrap();
    sandbox.drive(kept.id, Step::Error).await.unwrap();
    until(async || matches!(sandbox.session(gone.id).await, Err(Error::NotFound { what: "session", .. })))
        .await;
    assert!(sandbox.events(Some(gone.id), PageRequest::default()).await.is_err());
    let counts = sandbox.counts().await.unwrap();
    assert_eq!((counts.sessions.aborted, counts.sessions.error), (0, 1));
    assert_eq!((counts.deliveries.sending, counts.deliveries.dead), (1, 2), "those of the other session");
    assert_eq!(sandbox.session(kept.id).await.unwrap().events, 2);
    assert!(sandbox.endpoint(nobody.id).await.is_ok());
    sandbox.stop().await;
}
