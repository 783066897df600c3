//! A plan to merge that was made before something else came in between.

use idnow_webhooks_core::SystemClock;

use super::*;
use crate::database::Database;
use crate::settings::Settings;

/// A backup was put in the file's place between two steps, or a batch has failed.
#[tokio::test]
async fn a_plan_that_this_memory_does_not_know_is_not_ended() {
    let place = Place::new();
    let store = place.store(MANY).await;
    insert(&store, 0..FEW).await;
    drop(store);
    let settings = Settings {
        path: place.file(),
        create_if_missing: false,
        busy_timeout: LEASE,
        max_readers: 1,
        merge_after: FEW / 2,
    };
    let database = Database::open(settings, Arc::new(SystemClock)).await.unwrap();
    let mut turn = database.turn().await.unwrap();
    let open = database.connection(&mut turn).await.unwrap();
    open.recent.load(&mut open.connection).await.unwrap();
    let last = open.recent.last();
    let mut unit = Unit::new(&mut open.connection, 0, &mut open.recent);
    End(last).run(&mut unit).await.unwrap();
    assert_eq!(place.merged().await, 0, "the plan was made for another file");
    let plan = MakePlan.run(&mut unit).await.unwrap().unwrap();
    End(plan.last).run(&mut unit).await.unwrap();
    assert_eq!(place.merged().await, last);
}
