//! How values look on a page. What is marked as safe HTML here escapes what is put into it.

use std::borrow::Cow;
use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, SecondsFormat, Utc};

use super::prose::escaped;

/// A moment: absolute here, and made relative by the script. The title tells it to the millisecond.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    at: DateTime<Utc>,
    due: bool,
}

impl Time {
    pub(crate) fn new(at: DateTime<Utc>) -> Self {
        Self { at, due: false }
    }

    /// When something is to happen.
    pub(crate) fn due(at: DateTime<Utc>) -> Self {
        Self { at, due: true }
    }
}

impl HtmlSafe for Time {}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = self.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let due = if self.due { " data-due" } else { "" };
        let text = self.at.format("%Y-%m-%d %H:%M:%S UTC");
        write!(f, "<time datetime=\"{machine}\" title=\"{machine}\"{due}>{text}</time>")
    }
}

/// What a state is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Wait,
    Busy,
    Bad,
    Off,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Busy => "busy",
            Self::Bad => "bad",
            Self::Off => "off",
        }
    }
}

/// A state, in a word and a colour.
#[derive(Debug, Clone)]
pub(crate) struct Badge {
    pub(crate) tone: Tone,
    text: Cow<'static, str>,
}

impl Badge {
    pub(crate) fn new(tone: Tone, text: impl Into<Cow<'static, str>>) -> Self {
        Self { tone, text: text.into() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl HtmlSafe for Badge {}

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<span class=\"badge {}\">{}</span>", self.tone.class(), escaped(&self.text))
    }
}

/// Something that can be chosen.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

impl Choice {
    pub(crate) fn new(value: impl Into<String>, label: impl Into<String>, chosen: &str) -> Self {
        let value = value.into();
        Self { chosen: value == chosen, value, label: label.into() }
    }
}

/// How long something takes: `850 ms`, `1.2 s`, `3 min 5 s`, `1 day`.
pub(crate) fn span(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        return format!("{milliseconds} ms");
    }
    if milliseconds < 60_000 {
        let tenths = milliseconds / 100;
        return match tenths % 10 {
            0 => format!("{} s", tenths / 10),
            tenth => format!("{}.{tenth} s", tenths / 10),
        };
    }
    let seconds = milliseconds / 1000;
    let parts = [
        (seconds / 86_400, if seconds / 86_400 == 1 { "day" } else { "days" }),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let told: Vec<String> = parts
        .iter()
        .skip_while(|(amount, _)| *amount == 0)
        .take(2)
        .filter(|(amount, _)| *amount > 0)
        .map(|(amount, unit)| format!("{amount} {unit}"))
        .collect();
    told.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_at_most_two_units() {
        let told =
            [0, 999, 1000, 1250, 59_999, 60_000, 185_000, 3_600_000, 86_400_000, 180_061_000].map(span);
        assert_eq!(
            told,
            ["0 ms", "999 ms", "1 s", "1.2 s", "59.9 s", "1 min", "3 min 5 s", "1 h", "1 day", "2 days 2 h"]
        );
    }

    #[test]
    fn what_is_put_into_safe_html_is_escaped() {
        assert_eq!(
            Badge::new(Tone::Bad, "<i>".to_owned()).to_string(),
            "<span class=\"badge bad\">&#60;i&#62;</span>"
        );
    }
}
