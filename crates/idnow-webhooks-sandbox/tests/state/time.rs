use std::time::{Duration, Instant};

use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{NewFlow, NewSession, PageRequest, SessionStatus, Step};

use super::until;

/// An hour is 360 ms: sessions end in the order of their times, whoever was made first.
#[tokio::test]
async fn sessions_expire_when_their_time_is_up() {
    let sandbox = Sandbox::builder().time_scale(10_000.0).start().await.unwrap();
    let flow = sandbox.create_flow(NewFlow { name: "f".into(), session_ttl_seconds: 3600 }).await.unwrap();
    let make = async |ttl_seconds| {
        let new = NewSession { flow_id: flow.id, environment: "staging".into(), ttl_seconds };
        sandbox.create_session(new).await.unwrap()
    };
    let begun = Instant::now();
    let long = make(Some(90 * 24 * 3600)).await;
    let usual = make(None).await;
    let short = make(Some(1000)).await;
    let ended = make(Some(1000)).await;
    sandbox.drive(short.id, Step::Start).await.unwrap();
    sandbox.drive(ended.id, Step::Abort).await.unwrap();
    let status = async |id| sandbox.session(id).await.unwrap().status;
    until(async || status(usual.id).await == SessionStatus::Expired).await;
    assert!(begun.elapsed() >= Duration::from_millis(360));
    for session in [&usual, &short] {
        let now = sandbox.session(session.id).await.unwrap();
        assert_eq!((now.status, now.events), (SessionStatus::Expired, 2));
        assert_eq!(now.expires_at, session.expires_at);
        let late = now.completed_at.unwrap() - now.expires_at;
        assert!((0..250).contains(&late.num_milliseconds()), "{late}");
    }
    assert_eq!(status(long.id).await, SessionStatus::Created);
    assert_eq!(status(ended.id).await, SessionStatus::Aborted);
    let events = sandbox.events(None, PageRequest::default()).await.unwrap().items;
    assert_eq!((events[0].session_id, events[1].session_id), (usual.id, short.id));
}

#[tokio::test]
async fn many_sessions_expire_at_once() {
    let sandbox = Sandbox::builder().time_scale(10.0).start().await.unwrap();
    let flow = sandbox.create_flow(NewFlow { name: "f".into(), session_ttl_seconds: 5 }).await.unwrap();
    let new = NewSession::new(flow.id, "staging");
    let all = (0..600).map(|_| sandbox.create_session(new.clone()));
    futures_util::future::try_join_all(all).await.unwrap();
    assert!(sandbox.counts().await.unwrap().sessions.created > 0);
    until(async || sandbox.counts().await.unwrap().sessions.expired == 600).await;
    assert_eq!(sandbox.counts().await.unwrap().sessions.created, 0);
}
