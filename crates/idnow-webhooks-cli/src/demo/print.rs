use std::fmt::{Display, Write as _};
use std::io;

use serde::Serialize;

use super::answer::Answer;
use super::receiver::Framework;
use crate::print::{BAD, BOLD, DIM, GOOD, Printer};

/// Where answers stand in a line, and how wide they are.
const WHAT: usize = 40;
const ANSWER: usize = 29;

/// What is printed, and how often it was right.
pub(super) struct Report {
    printer: Printer,
    framework: Framework,
    chapter: &'static str,
    right: usize,
    wrong: usize,
}

/// Where everything is.
pub(super) struct Places<'a> {
    pub(super) provider: &'a str,
    pub(super) time_scale: f64,
    pub(super) proxy: &'a str,
    pub(super) receiver: &'a str,
    pub(super) store: &'a str,
}

/// What is right for a step.
pub(super) struct Right<'a> {
    pub(super) answers: &'a [&'a str],
    pub(super) callbacks: &'a [&'a str],
}

/// One line for other programs. Members may be added, but not changed.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum Line<'a> {
    Started {
        framework: &'a str,
        provider: &'a str,
        proxy: &'a str,
        receiver: &'a str,
        store: &'a str,
    },
    Step {
        framework: &'a str,
        chapter: &'a str,
        what: &'a str,
        answers: &'a [Answer],
        callbacks: &'a [String],
        right: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<Expected<'a>>,
    },
    Finished {
        right: usize,
        wrong: usize,
    },
}

#[derive(Serialize)]
struct Expected<'a> {
    answers: &'a [&'a str],
    callbacks: &'a [&'a str],
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { printer: Printer::new(json), framework: Framework::Axum, chapter: "", right: 0, wrong: 0 }
    }

    pub(super) fn opening(&mut self, framework: Framework, places: &Places<'_>) -> io::Result<()> {
        let Places { provider, time_scale, proxy, receiver, store } = places;
        let name = framework.name();
        self.framework = framework;
        if self.printer.is_json() {
            return self.document(&Line::Started { framework: name, provider, proxy, receiver, store });
        }
        let apart = if self.right + self.wrong > 0 { "\n" } else { "" };
        self.line(&format!(
            "{apart}{DIM}provider  {provider} (the sandbox, {time_scale} times as fast){DIM:#}\n\
             {DIM}proxy     {proxy}{DIM:#}\n\
             {DIM}receiver  {receiver} ({DIM:#}{BOLD}{name}{BOLD:#}{DIM}){DIM:#}\n\
             {DIM}store     {store} (SQLite){DIM:#}",
        ))
    }

    pub(super) fn chapter(&mut self, title: &'static str) -> io::Result<()> {
        self.chapter = title;
        if self.printer.is_json() {
            return Ok(());
        }
        self.line(&format!(
            "\n{BOLD}{title:<width$} {:<ANSWER$} callback{BOLD:#}",
            "answer",
            width = WHAT + 2,
        ))
    }

    /// Compares what came of a step with what is right.
    pub(super) fn step(
        &mut self,
        what: &str,
        answers: &[Answer],
        callbacks: &[String],
        right: &Right<'_>,
    ) -> io::Result<()> {
        let mut shown: Vec<String> = answers.iter().map(Answer::to_string).collect();
        // How often the provider had to try says how fast this machine is.
        shown.dedup();
        let as_expected = shown == right.answers && callbacks == right.callbacks;
        if as_expected {
            self.right += 1;
        } else {
            self.wrong += 1;
        }
        if self.printer.is_json() {
            let (framework, chapter) = (self.framework.name(), self.chapter);
            let expected =
                (!as_expected).then_some(Expected { answers: right.answers, callbacks: right.callbacks });
            let step =
                Line::Step { framework, chapter, what, answers, callbacks, right: as_expected, expected };
            return self.document(&step);
        }
        let (mark, style) = if as_expected { ("✓", GOOD) } else { ("✗", BAD) };
        let answer = shown.join(" → ");
        let mut line = format!(
            "{style}{mark}{style:#} {what:<WHAT$} {style}{answer:<ANSWER$}{style:#} {DIM}{}{DIM:#}",
            below_each_other(callbacks),
        );
        if !as_expected {
            // Writing to a `String` cannot fail.
            let _ = write!(
                line,
                "\n  {BAD}{:<WHAT$} {:<ANSWER$} {}{BAD:#}",
                "expected:",
                right.answers.join(" → "),
                below_each_other(right.callbacks),
            );
        }
        self.line(&line)
    }

    /// Gives whether everything was right.
    pub(super) fn finish(&mut self) -> io::Result<bool> {
        let (right, wrong) = (self.right, self.wrong);
        if self.printer.is_json() {
            self.document(&Line::Finished { right, wrong })?;
        } else if wrong == 0 {
            self.line(&format!("\n{GOOD}All {right} steps went right.{GOOD:#}"))?;
        } else {
            self.line(&format!("\n{BAD}{wrong} of {} steps went wrong.{BAD:#}", right + wrong))?;
        }
        Ok(wrong == 0)
    }

    /// The exit code says what is right, also when nobody reads any longer.
    fn line(&mut self, lines: &str) -> io::Result<()> {
        self.printer.text(lines).map(drop)
    }

    fn document(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.printer.document(line).map(drop)
    }
}

/// What is the same several times stands in one line.
fn below_each_other(calls: &[impl Display]) -> String {
    let mut lines: Vec<(String, usize)> = Vec::new();
    for call in calls {
        let call = call.to_string();
        match lines.last_mut() {
            Some((last, times)) if *last == call => *times += 1,
            _ => lines.push((call, 1)),
        }
    }
    if lines.is_empty() {
        return "-".to_owned();
    }
    let lines: Vec<_> = lines
        .into_iter()
        .map(|(call, times)| if times > 1 { format!("{call}  ×{times}") } else { call })
        .collect();
    lines.join(&format!("\n{:1$}", "", WHAT + ANSWER + 4))
}
