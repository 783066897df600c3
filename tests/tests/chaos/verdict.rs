//! What the sandbox has sent against what the store holds.

use std::collections::HashMap;
use std::path::Path;

use idnow_webhooks::sqlite::SqliteStore;
use idnow_webhooks::store::{EventFilter, EventState, EventStore as _, StoredEvent};

use crate::load::Load;

#[derive(Debug)]
pub(crate) struct Verdict {
    /// What should not be so.
    pub(crate) wrong: Vec<String>,
    pub(crate) events: usize,
    /// How many events were begun more than once: by a process that was killed before it could note that they were done.
    pub(crate) begun_again: usize,
}

impl Verdict {
    pub(crate) async fn reach(load: &Load, stored: Vec<StoredEvent>) -> Self {
        let mut wrong = load.dead().await;
        let sent = load.events().await;
        let mut held: HashMap<&str, Vec<&StoredEvent>> = HashMap::new();
        for event in &stored {
            held.entry(&event.id).or_default().push(event);
        }
        for event in &sent {
            let id = event.id.to_string();
            match held.remove(id.as_str()).as_deref() {
                None => wrong.push(format!("{id} is lost")),
                Some([found]) => {
                    let same = found.name.as_deref() == Some(event.name.name())
                        && found.session_id == Some(event.session_id.to_string())
                        && found.sequence == event.sequence;
                    if !same || found.state != EventState::Completed || found.error.is_some() {
                        wrong.push(format!("{event:?} became {found:?}"));
                    }
                }
                Some(several) => wrong.push(format!("{id} is there {} times", several.len())),
            }
        }
        wrong.extend(held.into_keys().map(|id| format!("{id} was never sent")));
        let report = load.sandbox.chaos().await.unwrap();
        if report.forgeries_accepted > 0 {
            wrong.push(format!("{:?}: forgeries were accepted", report.forgeries));
        }
        let begun_again = stored.iter().filter(|event| event.runs > 1).count();
        Self { wrong, events: sent.len(), begun_again }
    }
}

/// All that is in the store of a program that has ended.
pub(crate) async fn stored(path: &Path) -> Vec<StoredEvent> {
    let store = SqliteStore::builder(path).create_if_missing(false).open().await.unwrap();
    let (mut all, mut filter) = (Vec::new(), EventFilter { limit: 1000, ..EventFilter::default() });
    loop {
        let page = store.list(&filter).await.unwrap();
        let Some(last) = page.last() else { return all };
        filter.before = Some(last.position);
        all.extend(page);
    }
}
