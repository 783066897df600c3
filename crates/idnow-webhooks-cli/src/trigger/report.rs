//! What came of it.

use std::borrow::Cow;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::print::{BAD, BOLD, DIM, GOOD, Printer};
use crate::text;

/// What the sandbox says, passed on with --json.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Triggered<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
    /// Whether the answer was 2xx.
    pub(super) delivered: bool,
    answer: Answer,
    duration_ms: u64,
    #[serde(borrow)]
    header: &'a RawValue,
    #[serde(borrow)]
    claims: &'a RawValue,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Answer {
    Status { code: u16, body: String },
    TimedOut,
    ConnectionFailed { reason: String },
    NotSent { reason: String },
}

impl Triggered<'_> {
    pub(super) fn print(&self, printer: &mut Printer) -> io::Result<bool> {
        if printer.is_json() { printer.document(self) } else { printer.text(&self.sheet()) }
    }

    fn sheet(&self) -> String {
        let (mark, style) = if self.delivered { ("✓", GOOD) } else { ("✗", BAD) };
        let (what, body) = match &self.answer {
            Answer::Status { code, body } => (format!("answered {code}"), body.trim()),
            Answer::TimedOut => ("not answered in time".to_owned(), ""),
            Answer::ConnectionFailed { reason } => (format!("not delivered: {}", text::line(reason)), ""),
            Answer::NotSent { reason } => (format!("not sent: {}", text::line(reason)), ""),
        };
        let body = if body.is_empty() { String::new() } else { format!("\n{}", text::line(body)) };
        format!(
            "{style}{mark} {what}{style:#} {DIM}({} ms){DIM:#}{body}\n{DIM}event{DIM:#} {BOLD}{}{BOLD:#}\n\
             {DIM}header{DIM:#}\n{}\n{DIM}claims{DIM:#}\n{}",
            self.duration_ms,
            text::line(&self.event_id),
            text::pretty(self.header.get()),
            text::pretty(self.claims.get()),
        )
    }
}
