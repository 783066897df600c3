use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use idnow_webhooks_sandbox::model::NewSession;
use idnow_webhooks_sandbox::{Error, Sandbox};

use super::flow;

/// Those who write all the time are told that it has stopped; what they were told of before is in the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_stops_however_busy_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let sandbox = Sandbox::builder().database(&path).start().await.unwrap();
    let flow = flow(&sandbox).await.id;
    let made = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..16)
        .map(|_| {
            let (sandbox, made) = (sandbox.clone(), Arc::clone(&made));
            tokio::spawn(async move {
                loop {
                    let new = NewSession::new(flow, "staging");
                    match sandbox.create_session(new).await {
                        Ok(_) => made.fetch_add(1, Ordering::Relaxed),
                        Err(error) => return error,
                    };
                }
            })
        })
        .collect();
    super::until(async || made.load(Ordering::Relaxed) > 100).await;
    let stopped = tokio::time::timeout(Duration::from_secs(15), sandbox.stop()).await;
    assert!(stopped.is_ok(), "it goes on and on");
    for writer in writers {
        let error = writer.await.unwrap();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert_eq!(error.to_string(), "the sandbox has stopped");
    }
    let sandbox = Sandbox::builder().database(&path).start().await.unwrap();
    assert_eq!(sandbox.counts().await.unwrap().sessions.created, made.load(Ordering::Relaxed));
    sandbox.stop().await;
}
