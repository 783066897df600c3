//! How values look on a page. What is marked as safe HTML here escapes what is put into it.

use std::borrow::Cow;
use std::fmt;

use askama::filters::{Html, HtmlSafe, escape};
use chrono::{DateTime, SecondsFormat, Utc};

use super::failure::{Failure, sentence};
use crate::error::Error;

/// A moment: absolute here, and made relative by the script.
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
        write!(f, "<time datetime=\"{machine}\"{due}>{}</time>", self.at.format("%Y-%m-%d %H:%M:%S UTC"))
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

/// A sentence in which code stands between backticks, as in the errors of the API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prose<'a>(pub(crate) &'a str);

impl HtmlSafe for Prose<'_> {}

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.0.matches('`').count() / 2;
        let mut rest = self.0;
        for _ in 0..pairs {
            let Some((before, from)) = rest.split_once('`') else { break };
            let Some((code, after)) = from.split_once('`') else { break };
            write!(f, "{}<code>{}</code>", escaped(before), escaped(code))?;
            rest = after;
        }
        write!(f, "{}", escaped(rest))
    }
}

fn escaped(text: &str) -> impl fmt::Display {
    match escape(text, Html) {
        Ok(safe) => safe,
        Err(never) => match never {},
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

/// What is wrong with the fields of a form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Errors(Vec<(&'static str, String)>);

impl Errors {
    /// What the form is told beside one of its `fields`; what is about something else is an error page.
    pub(crate) fn about(error: Error, fields: &[&str]) -> Result<Self, Failure> {
        match error {
            Error::Invalid { field, reason } if fields.contains(&field) => {
                Ok(Self(vec![(field, sentence(&reason))]))
            }
            other => Err(other.into()),
        }
    }

    pub(crate) fn add(&mut self, field: &'static str, reason: impl Into<String>) {
        self.0.push((field, reason.into()));
    }

    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    fn of(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == field).map(|(_, reason)| reason.as_str())
    }

    /// The attributes of the input of a field.
    pub(crate) fn mark(&self, field: &'static str) -> Mark {
        self.mark_with(field, "")
    }

    /// The same, for one that has a hint with this id.
    pub(crate) fn mark_with(&self, field: &'static str, hint: &'static str) -> Mark {
        Mark { field, hint, wrong: self.of(field).is_some() }
    }

    /// What is wrong, below the input.
    pub(crate) fn tell<'a>(&'a self, field: &'static str) -> Told<'a> {
        Told { field, reason: self.of(field) }
    }
}

/// See [`Errors::mark`].
pub(crate) struct Mark {
    field: &'static str,
    hint: &'static str,
    wrong: bool,
}

impl HtmlSafe for Mark {}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.wrong, self.hint) {
            (false, "") => Ok(()),
            (false, hint) => write!(f, "aria-describedby=\"{hint}\""),
            (true, hint) => {
                let space = if hint.is_empty() { "" } else { " " };
                let field = self.field;
                write!(f, "aria-invalid=\"true\" aria-describedby=\"{field}-error{space}{hint}\" autofocus")
            }
        }
    }
}

/// See [`Errors::tell`].
pub(crate) struct Told<'a> {
    field: &'static str,
    reason: Option<&'a str>,
}

impl HtmlSafe for Told<'_> {}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            None => Ok(()),
            Some(reason) => {
                write!(f, "<p class=\"error\" id=\"{}-error\">{}</p>", self.field, Prose(reason))
            }
        }
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
        let mut errors = Errors::default();
        errors.add("url", "<b>\"&'");
        assert_eq!(
            errors.tell("url").to_string(),
            "<p class=\"error\" id=\"url-error\">&#60;b&#62;&#34;&#38;&#39;</p>"
        );
        assert_eq!(
            Badge::new(Tone::Bad, "<i>".to_owned()).to_string(),
            "<span class=\"badge bad\">&#60;i&#62;</span>"
        );
        assert_eq!(
            Prose("use `<a>` or `b`, not `").to_string(),
            "use <code>&#60;a&#62;</code> or <code>b</code>, not `"
        );
        assert_eq!(errors.mark("name").to_string(), "");
        assert_eq!(
            errors.mark_with("url", "url-hint").to_string(),
            "aria-invalid=\"true\" aria-describedby=\"url-error url-hint\" autofocus"
        );
    }
}
