use std::any::Any;
use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use crate::stall;

/// Longer than any case takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);
/// How often a case is tried anew because the machine stood still.
const MOST_DISTURBED: usize = 3;
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

    /// Whatever a row expects: what was answered 200 is handled in the end, and after an answer that the provider takes for
    /// final nothing is.
    fn breaks_a_promise(&self) -> Option<&'static str> {
        let accepted = self.answered.contains("200") || self.again == "200";
        if accepted && !self.ends.starts_with("completed;") {
            return Some("it was answered 200, and is not handled in the end");
        }
        let refused = self.answered.starts_with('4') && self.left.starts_with("completed;");
        refused.then_some("it was answered 4xx, and is handled")
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
    let ran = rows.into_iter().enumerate().rev().map(|(place, (group, row))| async move {
        let mut disturbed = 0;
        loop {
            let before = stall::count();
            let ran = judge(group, &row).await;
            match &ran.wrong {
                Some(wrong) if stall::count() > before && disturbed < MOST_DISTURBED => {
                    println!(
                        "once more, as the machine stood still meanwhile: {group}: {}: {wrong}",
                        row.fault
                    );
                }
                _ => break (place, ran),
            }
            disturbed += 1;
        }
    });
    let mut ran: Vec<_> = stream::iter(ran).buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(ran.len(), count);
    ran.sort_by_key(|(place, _)| *place);
    ran.into_iter().map(|(_, ran)| ran).collect()
}

async fn judge(group: &'static str, row: &Row) -> Ran {
    let expected = row.expected();
    let (observed, wrong, missing) = match observe((row.case)()).await {
        Ok(Ok(observed)) if observed == expected => {
            let broken = observed.breaks_a_promise();
            (observed, broken.map(str::to_owned), None)
        }
        Ok(Ok(observed)) => {
            let wrong = format!("expected {:?}\n     observed {:?}", expected.cells(), observed.cells());
            (observed, Some(wrong), None)
        }
        Ok(Err(NotHere(why))) => {
            println!("not observed here, for {why}: {group}: {}", row.fault);
            (expected, None, Some(why))
        }
        Err(why) => (expected, Some(why), None),
    };
    Ran { group, fault: row.fault, observed, wrong, missing }
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

#[test]
fn no_expectation_allows_a_broken_promise() {
    let row = |cells: [&'static str; 4]| Row::new("", cells, std::future::pending);
    let promise = |cells| row(cells).expected().breaks_a_promise();
    let (done, absent) = ("completed; ran once", "not stored; never ran");
    assert_eq!(promise(["200", done, "200", done]), None);
    assert_eq!(promise(["503 `overloaded`", absent, "200", done]), None);
    assert_eq!(promise(["401 `token_refused`", absent, "401 `token_refused`", absent]), None);
    for lost in ["waiting; ran once", "dead letter; ran once", absent] {
        assert!(promise(["200", done, "200", lost]).is_some(), "{lost}");
        assert!(promise(["503 `overloaded`", absent, "200", lost]).is_some(), "{lost}");
        assert!(promise(["1 × 200; 7 × 503", absent, "503", lost]).is_some(), "{lost}");
    }
    assert!(promise(["401 `token_refused`", done, "200", done]).is_some());
}
