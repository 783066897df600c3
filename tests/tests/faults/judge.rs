//! What is wrong with a row, and what of it a machine that stood still excuses.

use crate::row::Observed;
use crate::words::runs_in;

/// How a row is not as it should be.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) why: String,
    /// Whether limits of time that pass while the machine stands still may be the cause. They turn an answer into 503, or keep
    /// a handler from running; they are no excuse for a panic, a hang, an event that was lost, or one that ran too often.
    pub(crate) excusable: bool,
}

impl Wrong {
    /// Whatever the machine did.
    fn at_any_time(why: String) -> Self {
        Self { why, excusable: false }
    }
}

/// What is wrong with what was seen of a row: `Err` is how its case failed. The promises come first: no row may expect that
/// one is broken, and nothing excuses it.
pub(crate) fn judge(expected: &Observed, seen: Result<&Observed, &str>) -> Option<Wrong> {
    let observed = match seen {
        Ok(observed) => observed,
        Err(why) => return Some(Wrong::at_any_time(why.to_owned())),
    };
    let difference = format!("expected {:?}\n     observed {:?}", expected.cells(), observed.cells());
    let broken = broken_promise(observed).or_else(|| too_much(expected, observed));
    if let Some(broken) = broken {
        return Some(Wrong::at_any_time(format!("{broken}: {difference}")));
    }
    (observed != expected).then_some(Wrong { why: difference, excusable: true })
}

/// Whatever a row expects: what was answered 200 is handled in the end, and after an answer that the provider takes for
/// final nothing is.
fn broken_promise(observed: &Observed) -> Option<&'static str> {
    let accepted = observed.answered.contains("200") || observed.again == "200";
    if accepted && !observed.ends.starts_with("completed;") {
        return Some("it was answered 200, and is not handled in the end");
    }
    let refused = is_refused(&observed.answered) && observed.left.starts_with("completed;");
    refused.then_some("it was answered 4xx, and is handled")
}

/// What only a row that expects it may see.
fn too_much(expected: &Observed, observed: &Observed) -> Option<&'static str> {
    let states = [(&expected.left, &observed.left), (&expected.ends, &observed.ends)];
    let too_often =
        |expected, observed| runs_in(expected).zip(runs_in(observed)).is_some_and(|(most, ran)| ran > most);
    if states.into_iter().any(|(expected, observed)| too_often(expected, observed)) {
        return Some("its handler ran more often than it may");
    }
    let answers = [(&expected.answered, &observed.answered), (&expected.again, &observed.again)];
    let lost = answers.into_iter().any(|(expected, observed)| is_refused(observed) && !is_refused(expected));
    lost.then_some("it was answered 4xx, after which the provider does not try again")
}

/// Whether an answer, or one of several, is final for the provider.
fn is_refused(answers: &str) -> bool {
    let statuses = answers.split("; ").map(|answer| answer.rsplit("× ").next().unwrap_or_default());
    statuses.into_iter().any(|status| status.starts_with('4'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &str = "completed; ran once";
    const ABSENT: &str = "not stored; never ran";

    fn cells(cells: [&str; 4]) -> Observed {
        let [answered, left, again, ends] = cells.map(str::to_owned);
        Observed { answered, left, again, ends }
    }

    /// Nothing, or whether it is excusable.
    fn judged(expected: [&str; 4], observed: [&str; 4]) -> Option<bool> {
        judge(&cells(expected), Ok(&cells(observed))).map(|wrong| wrong.excusable)
    }

    #[test]
    fn what_time_outs_explain_is_excusable() {
        let expected = ["200", DONE, "200", DONE];
        assert_eq!(judged(expected, expected), None);
        for late in [
            ["503 `deadline_exceeded`, Retry-After 1", "not stored; never ran", "200", DONE],
            ["200", "waiting; never ran", "200", DONE],
            [
                "503 `keys_unavailable`, Retry-After 1",
                ABSENT,
                "503 `keys_unavailable`, Retry-After 1",
                ABSENT,
            ],
        ] {
            assert_eq!(judged(expected, late), Some(true), "{late:?}");
        }
        assert_eq!(judged(["200", "running; ran once", "200", "completed; ran twice"], expected), Some(true));
    }

    #[test]
    fn a_broken_promise_is_never_excusable_not_even_when_it_is_expected() {
        for lost in ["waiting; ran once", "running; ran once", "dead letter; ran once", ABSENT] {
            for broken in [
                ["200", DONE, "200", lost],
                ["503 `overloaded`", ABSENT, "200", lost],
                ["1 × 200; 7 × 503", ABSENT, "503", lost],
            ] {
                assert_eq!(judged(["200", DONE, "200", DONE], broken), Some(false), "{broken:?}");
                assert_eq!(judged(broken, broken), Some(false), "{broken:?}");
            }
        }
        let handled = ["401 `token_refused`", DONE, "200", DONE];
        assert_eq!(judged(handled, handled), Some(false));
        let several = ["1 × 200; 1 × 401", DONE, "200", DONE];
        assert_eq!(judged(several, several), Some(false));
        for kept in [
            ["503 `overloaded`", ABSENT, "200", DONE],
            ["401 `token_refused`", ABSENT, "401 `token_refused`", ABSENT],
            ["1 × 200; 7 × 503 `in_progress`, Retry-After 1", DONE, "200", DONE],
        ] {
            assert_eq!(judged(kept, kept), None, "{kept:?}");
        }
    }

    #[test]
    fn a_handler_that_ran_too_often_is_never_excusable() {
        let expected = ["200", "running; ran once", "200", "completed; ran twice"];
        assert_eq!(
            judged(expected, ["200", "running; ran once", "200", "completed; ran 3 times"]),
            Some(false)
        );
        assert_eq!(
            judged(expected, ["200", "running; ran twice", "200", "completed; ran twice"]),
            Some(false)
        );
        let unclear = ["503 `deadline_exceeded`", "stored, or not", "200", DONE];
        let twice = "completed; ran twice";
        assert_eq!(judged(unclear, ["503 `deadline_exceeded`", twice, "200", twice]), Some(false));
        assert_eq!(judged(unclear, ["503 `deadline_exceeded`", "stored, or not", "200", twice]), Some(false));
    }

    #[test]
    fn a_final_answer_that_is_not_expected_is_never_excusable() {
        let expected = ["503 `keys_unavailable`, Retry-After 1", ABSENT, "200", DONE];
        assert_eq!(judged(expected, ["401 `token_refused`", ABSENT, "200", DONE]), Some(false));
        assert_eq!(judged(expected, [expected[0], ABSENT, "401 `token_refused`", ABSENT]), Some(false));
        let several = ["2 × 200", DONE, "200", DONE];
        assert_eq!(
            judged(several, ["1 × 200; 1 × 401 `token_refused`", "waiting; never ran", "200", DONE]),
            Some(false)
        );
        let refused = ["401 `token_refused`", ABSENT, "200", DONE];
        assert_eq!(judged(refused, ["401 `malformed`", ABSENT, "200", DONE]), Some(true));
    }

    #[test]
    fn a_case_that_panics_or_hangs_is_never_excusable() {
        let wrong = judge(&cells(["200", DONE, "200", DONE]), Err("it hangs")).unwrap();
        assert_eq!((&*wrong.why, wrong.excusable), ("it hangs", false));
    }
}
