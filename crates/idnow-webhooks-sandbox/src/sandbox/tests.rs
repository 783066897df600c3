use std::time::{Duration, Instant};

use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::database::endpoints::DeleteEndpoint;
use crate::database::tests::Raw;
use crate::database::unit::{Fault, Unit, Work};
use crate::model::{NewEndpoint, NewFlow, NewSession};

const PATIENCE: Duration = Duration::from_secs(20);

/// A sandbox with an endpoint for which two deliveries wait.
async fn with_waiting() -> (Sandbox, Uuid) {
    let sandbox = Sandbox::start().await.unwrap();
    let flow = NewFlow { name: "flow".into(), session_ttl_seconds: 3600 };
    let flow = sandbox.create_flow(flow).await.unwrap().id;
    // Nobody listens there: its first retry is a second away.
    let endpoint = NewEndpoint::new(flow, "staging", "http://127.0.0.1:1/");
    let endpoint = sandbox.create_endpoint(endpoint).await.unwrap().id;
    for _ in 0..2 {
        let session = NewSession::new(flow, "staging");
        sandbox.create_session(session).await.unwrap();
    }
    waits_until(&sandbox, |counts| counts.waiting == 2 && counts.sending == 0).await;
    (sandbox, endpoint)
}

async fn waits_until(sandbox: &Sandbox, is_so: impl Fn(&DeliveryCounts) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let counts = sandbox.counts().await.unwrap().deliveries;
        if is_so(&counts) {
            return;
        }
        assert!(Instant::now() < deadline, "it is still so: {counts:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn all_ended(counts: &DeliveryCounts) -> bool {
    (counts.waiting, counts.endpoint_deleted) == (0, 2)
}

#[tokio::test]
async fn what_waits_ends_even_if_who_deletes_the_endpoint_goes_away() {
    let (sandbox, endpoint) = with_waiting().await;
    // All that has happened when the call is dropped between its two steps.
    sandbox.database().write(DeleteEndpoint(endpoint)).await.unwrap();
    waits_until(&sandbox, all_ended).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn what_waits_ends_even_if_the_database_fails_at_first() {
    let (sandbox, endpoint) = with_waiting().await;
    let spoil = "CREATE TRIGGER spoil BEFORE UPDATE ON deliveries WHEN NEW.state = 4
                 BEGIN SELECT raise(FAIL, 'spoilt'); END";
    sandbox.database().write(Raw(spoil)).await.unwrap();
    sandbox.delete_endpoint(endpoint).await.unwrap();
    assert!(matches!(sandbox.endpoint(endpoint).await, Err(Error::NotFound { .. })));
    sandbox.database().write(Raw("DROP TRIGGER spoil")).await.unwrap();
    waits_until(&sandbox, all_ended).await;
    sandbox.stop().await;
}

struct Panics;

#[async_trait]
impl Work for Panics {
    type Output = ();

    async fn run(&mut self, _: &mut Unit<'_>) -> Result<(), Fault> {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn a_sandbox_whose_writer_has_broken_down_stops() {
    let sandbox = Sandbox::start().await.unwrap();
    let error = sandbox.database().write(Panics).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    tokio::time::timeout(PATIENCE, sandbox.stopped()).await.expect("it stops");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_look_into_the_temporary_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let (database, writer) = Database::open(None, "issuer", Duration::ZERO).await.unwrap();
    let folder = database.shared.folder();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    database.close(writer).await;
    assert!(!folder.exists());
}

/// It is the compiler that decides, so this fails by not being built.
#[test]
fn what_users_hold_can_be_shared_and_every_error_passed_on() {
    fn shared<T: std::fmt::Debug + Send + Sync + 'static>() {}
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    fn sent<T: Send>(_: T) {}

    shared::<Sandbox>();
    shared::<SandboxBuilder>();
    shared::<Client>();
    shared::<Changes>();
    error::<Error>();
    error::<crate::Unavailable>();
    error::<crate::chaos::ParseChaosError>();
    sent(Sandbox::start());
    let _ = |sandbox: Sandbox| sent(sandbox.stop());
    let _ = |sandbox: &Sandbox, trigger| sent(sandbox.trigger(trigger));
}
