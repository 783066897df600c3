//! The stores that are tested, opened on a clock that the case moves.

mod chance;
mod event;
mod stage;
mod subject;

use std::sync::Arc;

pub use chance::Chance;
pub use event::{event, in_session, of, without_session};
pub use stage::{LEASE, Stage, ids};
pub use subject::Subject;

/// Runs a case on an empty store, on several threads, to its end, or fails it when it hangs.
pub fn run<C>(subject: Subject, case: impl FnOnce(Stage) -> C)
where
    C: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let ended = runtime.block_on(async {
        let place = subject.place().await;
        // In a task: one that never waits would not let the time-out look at its clock.
        let case = tokio::spawn(case(Stage::new(Arc::clone(&place)).await));
        let ended = tokio::time::timeout(super::PATIENCE, case).await;
        place.remove().await;
        ended
    });
    runtime.shutdown_background();
    if let Err(panic) = ended.expect("the case ends in time") {
        std::panic::resume_unwind(panic.into_panic());
    }
}
