//! How sessions get from one status to the next.

use crate::model::{EventKind, LastStep, Outcome, SessionStatus, Step};

/// What a step makes of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) status: SessionStatus,
    /// None when the person begins: the provider documents no event for that.
    pub(crate) event: Option<EventKind>,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) last_step: Option<LastStep>,
}

/// The provider documents that a running session can be completed, aborted, expire or fail, and that those four are
/// final. It does not say what can happen to one that has not begun: here the same, and what completes has begun by that.
///
/// The error says why the step is impossible.
pub(crate) fn advance(
    status: SessionStatus,
    last_step: Option<&LastStep>,
    step: Step,
) -> Result<Advance, String> {
    if !status.is_open() {
        return Err(format!("the session has ended, it is {}: nothing more happens to it", status.name()));
    }
    let kept = last_step.cloned();
    let ended =
        |status, event, outcome, last_step| Ok(Advance { status, event: Some(event), outcome, last_step });
    match step {
        Step::Start if status == SessionStatus::Running => {
            Err("the session has begun already, it is RUNNING".into())
        }
        Step::Start => Ok(Advance {
            status: SessionStatus::Running,
            event: None,
            outcome: None,
            last_step: Some(last("START", "START", "COMPLETED")),
        }),
        Step::Complete { outcome } => {
            let id = match outcome {
                Outcome::Accepted => "END-ACCEPT",
                Outcome::Rejected => "END-REJECT",
            };
            let end = Some(last(id, "END", "COMPLETED"));
            ended(SessionStatus::Completed, EventKind::Completed, Some(outcome), end)
        }
        Step::Expire => ended(SessionStatus::Expired, EventKind::Expired, None, kept),
        Step::Abort => ended(SessionStatus::Aborted, EventKind::Aborted, None, kept),
        Step::Error => {
            let failed = kept.map(|step| LastStep { status: "ERROR".into(), ..step });
            ended(SessionStatus::Error, EventKind::Error, None, failed)
        }
    }
}

fn last(id: &str, kind: &str, status: &str) -> LastStep {
    LastStep { id: id.into(), kind: kind.into(), status: status.into() }
}

#[cfg(test)]
mod tests {
    use SessionStatus::{Aborted, Completed, Created, Error, Expired, Running};

    use super::*;

    const STEPS: [Step; 6] = [
        Step::Start,
        Step::Complete { outcome: Outcome::Accepted },
        Step::Complete { outcome: Outcome::Rejected },
        Step::Expire,
        Step::Abort,
        Step::Error,
    ];

    #[test]
    fn every_status_and_every_step() {
        let begun = last("START", "START", "COMPLETED");
        for status in SessionStatus::ALL {
            for step in STEPS {
                let before = (status != Created).then_some(&begun);
                let found = advance(status, before, step);
                let ends = |status, event, outcome, last_step: Option<LastStep>| {
                    Ok(Advance { status, event: Some(event), outcome, last_step })
                };
                let expected = match (status, step) {
                    (Completed | Aborted | Expired | Error, _) | (Running, Step::Start) => Err(()),
                    (Created, Step::Start) => Ok(Advance {
                        status: Running,
                        event: None,
                        outcome: None,
                        last_step: Some(begun.clone()),
                    }),
                    (_, Step::Complete { outcome: Outcome::Accepted }) => {
                        let end = last("END-ACCEPT", "END", "COMPLETED");
                        ends(Completed, EventKind::Completed, Some(Outcome::Accepted), Some(end))
                    }
                    (_, Step::Complete { outcome: Outcome::Rejected }) => {
                        let end = last("END-REJECT", "END", "COMPLETED");
                        ends(Completed, EventKind::Completed, Some(Outcome::Rejected), Some(end))
                    }
                    (_, Step::Expire) => ends(Expired, EventKind::Expired, None, before.cloned()),
                    (_, Step::Abort) => ends(Aborted, EventKind::Aborted, None, before.cloned()),
                    (Created, Step::Error) => ends(Error, EventKind::Error, None, None),
                    (_, Step::Error) => {
                        ends(Error, EventKind::Error, None, Some(last("START", "START", "ERROR")))
                    }
                };
                assert_eq!(found.clone().map_err(|_| ()), expected, "{status:?}, {step:?}");
                if let Err(reason) = found {
                    assert!(reason.contains(status.name()), "{reason}");
                }
            }
        }
    }
}
