//! What is printed.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;
use idnow_webhooks::event::RawEvent;
use idnow_webhooks::{Clock, SystemClock, VerifiedToken};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::forward::Forwarded;
use crate::print::{BAD, BOLD, DIM, GOOD, Printer};
use crate::text;

/// Prints what comes in, and counts it.
pub(super) struct Report {
    printer: Printer,
    counts: Counts,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    /// Events that were verified.
    events: u64,
    refused: u64,
    /// Events that the target did not answer with 2xx, or did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_taken: Option<u64>,
}

/// One line for other programs. Members may be added, but not changed.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Line<'a> {
    Listening {
        url: &'a str,
        issuer: &'a str,
        audiences: &'a [String],
        forward_to: Option<String>,
    },
    Event {
        at: &'a str,
        status: u16,
        data: &'a RawValue,
        token: Token<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        forwarded: Option<Answer<'a>>,
    },
    Refused {
        at: &'a str,
        status: u16,
        code: &'a str,
        reason: &'a str,
    },
    Stopped {
        #[serde(flatten)]
        counts: Counts,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    issuer: &'a str,
    subject: Option<&'a str>,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    key_id: Option<&'a str>,
    algorithm: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    milliseconds: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Report {
    pub(super) fn new(json: bool, forwards: bool) -> Self {
        let counts = Counts { not_taken: forwards.then_some(0), ..Counts::default() };
        Self { printer: Printer::new(json), counts }
    }

    pub(super) fn listening(
        &mut self,
        url: &str,
        settings: &idnow_webhooks::Settings,
        forward_to: Option<String>,
    ) -> io::Result<bool> {
        let (issuer, audiences) = (settings.issuer.as_str(), settings.audiences.as_slice());
        if self.printer.is_json() {
            return self.printer.document(&Line::Listening { url, issuer, audiences, forward_to });
        }
        let mut lines = format!("listening on {BOLD}{url}{BOLD:#}");
        let names = std::iter::once("audience").chain(std::iter::repeat("or"));
        let audiences = names.zip(audiences.iter().map(String::as_str));
        let target = forward_to.as_deref().map(|target| ("forwards to", target));
        for (what, value) in std::iter::once(("issuer", issuer)).chain(audiences).chain(target) {
            // Writing to a `String` cannot fail.
            let _ = write!(lines, "\n{DIM}{what:<12}{DIM:#} {}", text::line(value));
        }
        self.printer.text(&format!("{lines}\n{DIM}Ctrl-C stops{DIM:#}"))
    }

    pub(super) fn event(
        &mut self,
        status: StatusCode,
        event: &RawEvent,
        token: &VerifiedToken,
        forwarded: Option<&Forwarded>,
    ) -> io::Result<bool> {
        self.counts.events += 1;
        if let Some(count) = &mut self.counts.not_taken
            && !status.is_success()
        {
            *count += 1;
        }
        let now = SystemClock.now();
        if !self.printer.is_json() {
            return self.printer.text(&sheet(now, status, event, forwarded));
        }
        let data: &RawValue = serde_json::from_str(event.json())?;
        self.printer.document(&Line::Event {
            at: &now.to_rfc3339_opts(SecondsFormat::Millis, true),
            status: status.as_u16(),
            data,
            token: Token {
                issuer: &token.issuer,
                subject: token.subject.as_deref(),
                issued_at: token.issued_at,
                expires_at: token.expires_at,
                key_id: token.key_id.as_deref(),
                algorithm: token.algorithm.name(),
            },
            forwarded: forwarded.map(|forwarded| Answer {
                milliseconds: forwarded.took.as_millis(),
                error: forwarded.result.as_ref().err().map(String::as_str),
            }),
        })
    }

    pub(super) fn refused(&mut self, status: StatusCode, code: &str, reason: &str) -> io::Result<bool> {
        self.counts.refused += 1;
        let (now, status) = (SystemClock.now(), status.as_u16());
        if self.printer.is_json() {
            let at = &now.to_rfc3339_opts(SecondsFormat::Millis, true);
            return self.printer.document(&Line::Refused { at, status, code, reason });
        }
        let time = time(now);
        self.printer.text(&format!(
            "{BAD}✗{BAD:#} {DIM}{time}{DIM:#}  refused: {BAD}{status} {code}{BAD:#}  {reason}"
        ))
    }

    pub(super) fn stopped(&mut self) -> io::Result<bool> {
        let counts = self.counts;
        if self.printer.is_json() {
            return self.printer.document(&Line::Stopped { counts });
        }
        let Counts { events, refused, not_taken } = counts;
        let events = if events == 1 { "1 event".to_owned() } else { format!("{events} events") };
        let not_taken =
            not_taken.map(|count| format!(", {count} of them not taken by the target")).unwrap_or_default();
        self.printer.text(&format!("\nstopped: {events} verified{not_taken}; {refused} refused"))
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%H:%M:%SZ").to_string()
}

/// All of an event, laid out.
fn sheet(now: DateTime<Utc>, status: StatusCode, event: &RawEvent, forwarded: Option<&Forwarded>) -> String {
    let good = status.is_success();
    let (mark, style) = if good { ("✓", GOOD) } else { ("✗", BAD) };
    let session = event.session().ok();
    let of = session.as_ref().map_or(Cow::Borrowed("-"), |session| session.session_status.as_str().into());
    let answer = match forwarded {
        None => format!("{}", status.as_u16()),
        Some(Forwarded { result: Ok(_), took }) => {
            format!("{} by the target in {} ms", status.as_u16(), took.as_millis())
        }
        Some(Forwarded { result: Err(reason), took }) => {
            format!("{}: the target was not reached ({reason}, {} ms)", status.as_u16(), took.as_millis())
        }
    };
    let attempt =
        event.deliver_id.as_deref().map_or_else(String::new, |id| format!(", attempt {}", text::line(id)));
    format!(
        "{style}{mark}{style:#} {DIM}{}{DIM:#}  {BOLD}{}{BOLD:#}  {}  no. {}{attempt}  {style}{answer}{style:#}\n{}",
        time(now),
        text::line(&event.name),
        text::line(&of),
        event.sequence,
        text::pretty(event.json()),
    )
}
