//! The faults: what is expected of each, and how it is caused.

mod clock;
mod handlers;
mod keys;
mod log;
mod parallel;
mod postgres;
mod processes;
mod settings;
mod sqlite;

use idnow_webhooks_testkit::SampleEvent;

use crate::row::{Group, Observed};
use crate::world::World;

/// Nothing is stored while the store cannot be used, and all is well afterwards.
const REFUSED: [&str; 4] =
    ["503 `store_unavailable`, Retry-After 1", "not stored; never ran", "200", "completed; ran once"];

/// What the provider's next attempts come to, and where the event stands in the end.
async fn recovered(world: &World, event: &SampleEvent, answered: String, left: String) -> Observed {
    let again = world.deliver_again(event).await;
    Observed { answered, left, again, ends: world.finished(event).await }
}

/// All of them, in the order of the document.
pub(crate) fn all() -> Vec<Group> {
    vec![
        keys::group(),
        sqlite::group(),
        postgres::group(),
        handlers::queued(),
        handlers::inline(),
        parallel::group(),
        settings::group(),
        clock::group(),
        processes::group(),
        log::group(),
    ]
}
