use std::any::Any;
use std::collections::HashSet;
use std::io::Write as _;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use crate::judge::judge;

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
pub(crate) type Case = BoxFuture<'static, Result<Observed, NotHere>>;

/// One fault, and what is expected of it.
pub(crate) struct Row {
    pub(crate) fault: &'static str,
    pub(crate) expected: [&'static str; 4],
    pub(crate) case: Case,
}

impl Row {
    pub(crate) fn new(
        fault: &'static str,
        expected: [&'static str; 4],
        case: impl Future<Output = Observed> + Send + 'static,
    ) -> Self {
        Self { fault, expected, case: case.map(Ok).boxed() }
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
    let ran = rows.into_iter().enumerate().rev();
    let ran = ran.map(|(place, (group, row))| async move { (place, run_one(group, row).await) });
    let mut ran: Vec<_> = stream::iter(ran).buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(ran.len(), count);
    ran.sort_by_key(|(place, _)| *place);
    ran.into_iter().map(|(_, ran)| ran).collect()
}

async fn run_one(group: &'static str, row: Row) -> Ran {
    let (fault, expected) = (row.fault, row.expected());
    let ran = |observed, wrong, missing| Ran { group, fault, observed, wrong, missing };
    match observe(row.case).await {
        Ok(Ok(observed)) => {
            let wrong = judge(&expected, &observed);
            ran(observed, wrong, None)
        }
        Ok(Err(NotHere(why))) => {
            tell(&format!("not observed here, for {why}: {group}: {fault}"));
            ran(expected, None, Some(why))
        }
        Err(why) => ran(expected, Some(why), None),
    }
}

/// Past the capture of the test's output: whoever reads that all has passed is to see what was not looked at.
fn tell(what: &str) {
    std::io::stderr().write_all(format!("\nfaults: {what}\n").as_bytes()).unwrap();
}

/// `Err` says what went wrong with the case itself.
async fn observe(case: Case) -> Result<Result<Observed, NotHere>, String> {
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
