//! A plan to merge that was made before something else came in between.

use idnow_webhooks_core::SystemClock;

use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

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

/// It is logged that the merge failed, and the log panics.
#[tokio::test]
async fn a_broken_log_does_not_end_the_merging() {
    struct Broken(Arc<AtomicBool>);

    impl<S: tracing::Subscriber> Layer<S> for Broken {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            if event.metadata().target().starts_with("idnow_webhooks") {
                self.0.store(true, Ordering::SeqCst);
                panic!("the log is broken");
            }
        }
    }

    let was_logged = Arc::new(AtomicBool::new(false));
    let broken = Broken(Arc::clone(&was_logged));
    let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(broken));
    let place = Place::new();
    let store = place.store(FEW).await;
    let mut connection = connect(&place.file()).await;
    let broken =
        "CREATE TRIGGER broken BEFORE INSERT ON idnow_webhooks_ids BEGIN SELECT RAISE(ABORT, 'broken'); END";
    sqlx::raw_sql(broken).execute(&mut connection).await.unwrap();
    insert(&store, 0..=FEW).await;
    while !was_logged.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(place.merged().await, 0);
    sqlx::raw_sql("DROP TRIGGER broken").execute(&mut connection).await.unwrap();
    tokio::time::sleep(AGAIN).await;
    place.until_merged_to(1).await;
}
