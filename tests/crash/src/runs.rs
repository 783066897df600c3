use std::collections::{HashMap, VecDeque};

use crate::journal::{Action, Entry};

/// One run of a handler, as the journal tells it.
#[derive(Debug, Clone)]
pub struct Run {
    /// `eventId`.
    pub event: String,
    /// `sessionId`.
    pub session: String,
    /// Where it ran.
    pub process: u32,
    /// When it began, in microseconds since the epoch.
    pub began_at: i64,
    /// How it ended. `None` while it runs.
    pub ended: Option<Ended>,
    /// The number of the line where it begins.
    first: usize,
    /// The number of the line where it ends.
    last: usize,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The handler did all it had to do.
    Done,
    /// The handler was stopped.
    Dropped,
    /// With its process.
    Killed,
}

impl Run {
    /// Whether it began after the other had ended.
    pub fn follows(&self, other: &Self) -> bool {
        self.first >= other.last && self.first > other.first
    }

    /// Whether there was a moment at which both ran.
    fn overlaps(&self, other: &Self) -> bool {
        self.first < other.last && other.first < self.last
    }
}

/// All runs of a journal.
///
/// # Panics
///
/// When a run ends that never began.
#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "a broken journal is a failed test")]
pub fn runs(entries: &[Entry]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut open: HashMap<(u32, &str), VecDeque<usize>> = HashMap::new();
    for (line, entry) in entries.iter().enumerate() {
        let key = (entry.process, entry.event.as_str());
        match entry.action {
            Action::Start => {
                let run = Run {
                    event: entry.event.clone(),
                    session: entry.session.clone(),
                    process: entry.process,
                    began_at: entry.at,
                    ended: None,
                    first: line,
                    last: usize::MAX,
                };
                // There is more than one at a time if the store has failed, and then it does not matter which of them ends.
                open.entry(key).or_default().push_back(runs.len());
                runs.push(run);
            }
            Action::End | Action::Dropped => {
                let began = open.get_mut(&key).and_then(VecDeque::pop_front).expect("a run ends that began");
                let run = &mut runs[began];
                run.last = line;
                run.ended = Some(if entry.action == Action::End { Ended::Done } else { Ended::Dropped });
            }
            Action::Kill | Action::Terminate => {}
        }
    }
    // The kill is noted right before it is sent, so what a process noted after that has happened all the same.
    for (line, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.action == Action::Kill) {
        for run in runs.iter_mut().filter(|run| run.process == entry.process && run.ended.is_none()) {
            run.last = line.max(run.first);
            run.ended = Some(Ended::Killed);
        }
    }
    runs
}

/// Pairs of runs that must never run at the same time, and did: of one event, or of one session.
pub fn overlaps(runs: &[Run]) -> Vec<(&Run, &Run)> {
    let mut sessions: HashMap<&str, Vec<&Run>> = HashMap::new();
    for run in runs {
        sessions.entry(&run.session).or_default().push(run);
    }
    let mut found = Vec::new();
    for session in sessions.values() {
        for (index, one) in session.iter().enumerate() {
            found.extend(
                session
                    .iter()
                    .skip(index + 1)
                    .filter(|other| one.overlaps(other))
                    .map(|other| (*one, *other)),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(lines: &[(Action, u32, &str, &str)]) -> Vec<Entry> {
        let entry = |(at, (action, process, event, session)): (usize, &(Action, u32, &str, &str))| Entry {
            action: *action,
            process: *process,
            at: i64::try_from(at).unwrap(),
            event: (*event).into(),
            session: (*session).into(),
        };
        lines.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn runs_one_after_the_other_do_not_overlap() {
        use Action::{Dropped, End, Kill, Start};
        use Ended::{Done, Dropped as Stopped, Killed};
        let runs = runs(&entries(&[
            (Start, 1, "a", "s"),
            (Start, 2, "x", "t"),
            (End, 1, "a", "s"),
            (Start, 1, "b", "s"),
            (Dropped, 1, "b", "s"),
            (Start, 2, "b", "s"),
            (Kill, 2, "-", "-"),
            (Start, 1, "b", "s"),
            (Start, 3, "x", "t"),
        ]));
        assert!(overlaps(&runs).is_empty());
        let ended: Vec<_> = runs.iter().map(|run| run.ended).collect();
        assert_eq!(ended, [Some(Done), Some(Killed), Some(Stopped), Some(Killed), None, None]);
    }

    #[test]
    fn overlaps_are_found() {
        use Action::{End, Kill, Start};
        for second in ["a", "b"] {
            let lines = [(Start, 1, "a", "s"), (Start, 2, second, "s"), (End, 1, "a", "s")];
            assert_eq!(overlaps(&runs(&entries(&lines))).len(), 1, "{second}");
        }
        let twice_in_one_process =
            [(Start, 1, "a", "s"), (Start, 1, "a", "s"), (End, 1, "a", "s"), (End, 1, "a", "s")];
        assert_eq!(overlaps(&runs(&entries(&twice_in_one_process))).len(), 1);
        let before_the_kill = [(Start, 1, "a", "s"), (Start, 2, "a", "s"), (Kill, 1, "-", "-")];
        assert_eq!(overlaps(&runs(&entries(&before_the_kill))).len(), 1);
        let ended_after_the_note =
            [(Start, 1, "a", "s"), (Kill, 1, "-", "-"), (Start, 2, "a", "s"), (End, 1, "a", "s")];
        assert_eq!(overlaps(&runs(&entries(&ended_after_the_note))).len(), 1);
    }
}
