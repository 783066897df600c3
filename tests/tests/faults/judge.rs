//! What is wrong with a row.

use crate::row::Observed;

/// The provider does not try any more; an operator has admitted the parked token.
pub(crate) const ADMITTED: &str = "no more; admitted by an operator";

/// The promises come first: no row may expect that one is broken.
pub(crate) fn judge(expected: &Observed, observed: &Observed) -> Option<String> {
    let broken = broken_promise(observed);
    if broken.is_none() && observed == expected {
        return None;
    }
    let broken = broken.map(|broken| format!("{broken}: ")).unwrap_or_default();
    Some(format!("{broken}expected {:?}\n     observed {:?}", expected.cells(), observed.cells()))
}

/// Whatever a row expects: what was answered 200, or admitted by an operator, is handled in the end, and after an answer that
/// the provider takes for final nothing is.
fn broken_promise(observed: &Observed) -> Option<&'static str> {
    let accepted = observed.answered.contains("200") || ["200", ADMITTED].contains(&&*observed.again);
    if accepted && !observed.ends.starts_with("completed;") {
        return Some("it was accepted, and is not handled in the end");
    }
    let refused = is_refused(&observed.answered) && observed.left.starts_with("completed;");
    refused.then_some("it was answered 4xx, and is handled")
}

/// Whether an answer, or one of several, is final for the provider.
fn is_refused(answers: &str) -> bool {
    let mut statuses = answers.split("; ").map(|answer| answer.rsplit("× ").next().unwrap_or_default());
    statuses.any(|status| status.starts_with('4'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &str = "completed; ran once";
    const ABSENT: &str = "not stored; never ran";

    fn is_right(expected: [&str; 4], observed: [&str; 4]) -> bool {
        let cells = |cells: [&str; 4]| {
            let [answered, left, again, ends] = cells.map(str::to_owned);
            Observed { answered, left, again, ends }
        };
        judge(&cells(expected), &cells(observed)).is_none()
    }

    #[test]
    fn what_differs_is_wrong() {
        let expected = ["200", DONE, "200", DONE];
        assert!(is_right(expected, expected));
        for different in [
            ["503 `overloaded`", DONE, "200", DONE],
            ["200", "waiting; never ran", "200", DONE],
            ["200", DONE, "503 `overloaded`", DONE],
            ["200", DONE, "200", "completed; ran twice"],
        ] {
            assert!(!is_right(expected, different), "{different:?}");
        }
    }

    #[test]
    fn a_broken_promise_is_wrong_even_when_it_is_expected() {
        for lost in ["waiting; ran once", "running; ran once", "dead letter; ran once", ABSENT] {
            for broken in [
                ["200", DONE, "200", lost],
                ["503 `overloaded`", ABSENT, "200", lost],
                ["1 × 200; 7 × 503", ABSENT, "503", lost],
                ["503 `wrong_audience`", "parked; never ran", ADMITTED, lost],
            ] {
                assert!(!is_right(broken, broken), "{broken:?}");
            }
        }
        for handled in [["401 `false_signature`", DONE, "200", DONE], ["1 × 200; 1 × 401", DONE, "200", DONE]]
        {
            assert!(!is_right(handled, handled), "{handled:?}");
        }
        for kept in [
            ["503 `overloaded`", ABSENT, "200", DONE],
            ["401 `false_signature`", ABSENT, "401 `false_signature`", ABSENT],
            ["503 `wrong_audience`", "parked; never ran", ADMITTED, DONE],
            ["1 × 200; 7 × 503 `in_progress`, Retry-After 1", DONE, "200", DONE],
        ] {
            assert!(is_right(kept, kept), "{kept:?}");
        }
    }
}
