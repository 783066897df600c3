use std::any::Any;
use std::collections::HashSet;
use std::io::Write as _;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use crate::judge::judge;
use crate::stall;

/// Longer than any case takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);
/// So many cases at once: they mostly wait.
const AT_ONCE: usize = 16;

/// What is observed of one fault, in the order of the table's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    /// What deliveries are answered while the cause lasts.
    pub(crate) answered: String,
    /// Where the event stands before the cause has gone, or before anybody delivers it again.
    pub(crate) left: String,
    /// What the provider's next attempts are answered once the cause has gone: the first that is not a 503.
    pub(crate) again: String,
    /// Where the event stands in the end.
    pub(crate) ends: String,
}

impl Observed {
    pub(crate) fn cells(&self) -> [&str; 4] {
        [&self.answered, &self.left, &self.again, &self.ends]
    }
}

/// Why a case cannot be run on this machine.
#[derive(Debug)]
pub(crate) struct NotHere(pub(crate) &'static str);

/// Causes the fault, with everything around it made anew.
pub(crate) type Case = Box<dyn Fn() -> BoxFuture<'static, Result<Observed, NotHere>> + Send + Sync>;

/// One fault, and what is expected of it.
pub(crate) struct Row {
    pub(crate) fault: &'static str,
    pub(crate) expected: [&'static str; 4],
    pub(crate) case: Case,
}

impl Row {
    pub(crate) fn new<F: Future<Output = Observed> + Send + 'static>(
        fault: &'static str,
        expected: [&'static str; 4],
        case: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self { fault, expected, case: Box::new(move || case().map(Ok).boxed()) }
    }

    fn expected(&self) -> Observed {
        let [answered, left, again, ends] = self.expected.map(str::to_owned);
        Observed { answered, left, again, ends }
    }
}

/// Faults that belong together.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// A row after it was run.
pub(crate) struct Ran {
    pub(crate) group: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) observed: Observed,
    /// How it differs from what is expected.
    pub(crate) wrong: Option<String>,
    /// Why it was not observed, and is as expected instead.
    pub(crate) missing: Option<&'static str>,
}

/// Runs all rows, many at the same time, and gives them in their order.
pub(crate) async fn run(groups: Vec<Group>) -> Vec<Ran> {
    let rows: Vec<_> = groups
        .into_iter()
        .flat_map(|group| group.rows.into_iter().map(move |row| (group.title, row)))
        .collect();
    let names: HashSet<_> = rows.iter().map(|(group, row)| (*group, row.fault)).collect();
    assert_eq!(names.len(), rows.len(), "two rows have the same name");
    let count = rows.len();
    // Backwards: the slow ones are the last, and must not begin last.
    let ran =
        rows.into_iter().enumerate().rev().map(|(place, (group, row))| async move {
            (place, tried(group, &row, stall::count, tell).await)
        });
    let mut ran: Vec<_> = stream::iter(ran).buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(ran.len(), count);
    ran.sort_by_key(|(place, _)| *place);
    ran.into_iter().map(|(_, ran)| ran).collect()
}

/// Runs a row, and once more if the machine stood still meanwhile and that may be why it is wrong.
async fn tried(group: &'static str, row: &Row, stood_still: impl Fn() -> usize, tell: impl Fn(&str)) -> Ran {
    let before = stood_still();
    let (ran, excusable) = once(group, row, &tell).await;
    match &ran.wrong {
        Some(wrong) if excusable && stood_still() > before => {
            tell(&format!(
                "tried anew, as the machine stood still meanwhile: {group}: {}:\n     {wrong}",
                row.fault
            ));
            once(group, row, &tell).await.0
        }
        _ => ran,
    }
}

/// A row after one run, and whether what is wrong with it is excusable.
async fn once(group: &'static str, row: &Row, tell: impl Fn(&str)) -> (Ran, bool) {
    let expected = row.expected();
    let seen = match observe((row.case)()).await {
        Ok(Err(NotHere(why))) => {
            tell(&format!("not observed here, for {why}: {group}: {}", row.fault));
            let ran = Ran { group, fault: row.fault, observed: expected, wrong: None, missing: Some(why) };
            return (ran, false);
        }
        Ok(Ok(observed)) => Ok(observed),
        Err(why) => Err(why),
    };
    let wrong = judge(&expected, seen.as_ref().map_err(|why| &**why));
    let excusable = wrong.as_ref().is_some_and(|wrong| wrong.excusable);
    let observed = seen.unwrap_or(expected);
    (Ran { group, fault: row.fault, observed, wrong: wrong.map(|wrong| wrong.why), missing: None }, excusable)
}

/// Past the capture of the test's output: whoever reads that all has passed is to see what was not seen at once.
fn tell(what: &str) {
    std::io::stderr().write_all(format!("\nfaults: {what}\n").as_bytes()).unwrap();
}

/// `Err` says what went wrong with the case itself.
async fn observe(
    case: BoxFuture<'static, Result<Observed, NotHere>>,
) -> Result<Result<Observed, NotHere>, String> {
    match tokio::time::timeout(PATIENCE, tokio::spawn(case)).await {
        Ok(Ok(observed)) => Ok(observed),
        Ok(Err(error)) => Err(error.try_into_panic().map_or("it was aborted".into(), |panic| said(&*panic))),
        Err(_) => Err(format!("it hangs: not done after {PATIENCE:?}")),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    format!("it panicked: {text}")
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const FINE: [&str; 4] = ["200", "completed; ran once", "200", "completed; ran once"];
    const LATE: [&str; 4] =
        ["503 `deadline_exceeded`", "not stored; never ran", "200", "completed; ran once"];
    const LOST: [&str; 4] = ["200", "waiting; never ran", "200", "waiting; never ran"];
    const TWICE: [&str; 4] = ["200", "completed; ran twice", "200", "completed; ran twice"];
    const REFUSED: [&str; 4] = ["401 `token_refused`", "not stored; never ran", "200", "completed; ran once"];

    /// How often a row is run whose case shows this, each time the next, is wrong in the end, and was told of. `None` panics.
    async fn judged(shows: &[Option<[&'static str; 4]>], still: bool) -> (usize, bool, usize) {
        let (shows, run) = (shows.to_vec(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&run);
        let row = Row::new("a fault", FINE, move || {
            let cells = shows[counted.fetch_add(1, Ordering::SeqCst)];
            async move { Row::new("", cells.expect("as planned"), std::future::pending).expected() }
        });
        let (looked, told) = (Cell::new(0), RefCell::new(Vec::new()));
        let stood_still = || if still { looked.replace(looked.get() + 1) } else { 0 };
        let ran = tried("a group", &row, stood_still, |what| told.borrow_mut().push(what.to_owned())).await;
        let told = told.into_inner();
        assert!(
            told.iter().all(|what| what.contains("tried anew") && what.contains("a group: a fault")),
            "{told:?}"
        );
        (run.load(Ordering::SeqCst), ran.wrong.is_some(), told.len())
    }

    #[tokio::test]
    async fn a_row_is_tried_anew_once_and_only_when_the_machine_stood_still() {
        assert_eq!(judged(&[Some(FINE)], true).await, (1, false, 0));
        assert_eq!(judged(&[Some(LATE), Some(FINE)], true).await, (2, false, 1));
        assert_eq!(judged(&[Some(LATE), Some(LATE), Some(FINE)], true).await, (2, true, 1));
        assert_eq!(judged(&[Some(LATE), Some(FINE)], false).await, (1, true, 0));
        assert_eq!(judged(&[Some(LATE), Some(LOST)], true).await, (2, true, 1));
    }

    #[tokio::test]
    async fn a_machine_that_stood_still_excuses_no_panic_no_broken_promise_and_no_run_too_many() {
        for wrong in [None, Some(LOST), Some(TWICE), Some(REFUSED)] {
            assert_eq!(judged(&[wrong, Some(FINE)], true).await, (1, true, 0), "{wrong:?}");
        }
    }
}
