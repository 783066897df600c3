use std::collections::{HashMap, HashSet};

use crate::{Answers, Database, Handling, Ledger, Program, Row};

/// What came of a test, for its output.
#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
pub struct Verdict {
    answers: Answers,
    sent: usize,
    answered_200: usize,
    stored: usize,
    stored_but_not_answered: usize,
    handed_out_more_than_once: usize,
}

impl Verdict {
    /// Compares what was sent and answered with what is in the database, when nothing runs any more.
    ///
    /// # Panics
    ///
    /// When an event that was answered 200 is missing, when one is there twice, was invented or is not completed, when
    /// one was not handled, or when one was counted twice.
    pub async fn reach(ledger: &Ledger, answers: Answers, database: &Database, program: &Program) -> Self {
        let rows = database.events().await;
        let by_id: HashMap<_, _> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
        assert_eq!(
            by_id.len(),
            rows.len(),
            "events are in the store twice: {:?}",
            twice(rows.iter().map(id))
        );

        let answered = || ledger.events().iter().filter(|sent| sent.answered);
        let lost: Vec<_> = answered().filter(|sent| !by_id.contains_key(sent.id.as_str())).collect();
        assert!(lost.is_empty(), "{} events were answered 200 and are lost: {lost:?}", lost.len());

        let sent: HashMap<_, _> = ledger.events().iter().map(|sent| (sent.id.as_str(), sent)).collect();
        let invented: Vec<_> = rows.iter().filter(|row| !sent.contains_key(id(row))).collect();
        assert!(invented.is_empty(), "events are in the store that nobody sent: {invented:?}");
        let unfinished: Vec<_> = rows.iter().filter(|row| row.state != 2).collect();
        assert!(unfinished.is_empty(), "events are not completed: {unfinished:?}");

        match program.handling {
            Handling::None => {}
            Handling::Append | Handling::Slow => assert_noted(&rows, program),
            Handling::Count => assert_counted(&rows, database).await,
        }
        program.assert_no_panic();
        Self {
            answers,
            sent: sent.len(),
            answered_200: answered().count(),
            stored: rows.len(),
            stored_but_not_answered: rows.len() - answered().count(),
            handed_out_more_than_once: rows.iter().filter(|row| row.runs > 1).count(),
        }
    }
}

/// At least once.
#[expect(clippy::expect_used, reason = "a broken journal is a failed test")]
fn assert_noted(rows: &[Row], program: &Program) {
    let entries = program.journal.entries().expect("the journal can be read");
    let noted: HashSet<_> = entries.iter().map(|entry| entry.event.as_str()).collect();
    let unhandled: Vec<_> = rows.iter().filter(|row| !noted.contains(id(row))).collect();
    assert!(unhandled.is_empty(), "{} events were never handled: {unhandled:?}", unhandled.len());
}

/// Exactly once, all of them.
async fn assert_counted(rows: &[Row], database: &Database) {
    let handled = database.handled().await;
    let events: Vec<_> = handled.iter().map(|(event, _)| event.as_str()).collect();
    let twice = twice(events.iter().copied());
    assert!(twice.is_empty(), "{} events were counted twice: {twice:?}", twice.len());
    let (distinct, stored): (HashSet<_>, HashSet<_>) =
        (events.iter().copied().collect(), rows.iter().map(id).collect());
    let missing: Vec<_> = stored.difference(&distinct).collect();
    assert!(missing.is_empty(), "{} events were not counted: {missing:?}", missing.len());
    assert_eq!(distinct.len(), stored.len(), "events were counted that are not in the store");
    let counter = database.counter().await;
    assert_eq!(usize::try_from(counter), Ok(stored.len()), "the counter is wrong");
}

fn id(row: &Row) -> &str {
    &row.id
}

fn twice<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    ids.filter(|id| !seen.insert(*id)).collect()
}
