//! Sentences. What is marked as safe HTML here escapes what is put into it.

use std::fmt;

use askama::filters::{Html, HtmlSafe, escape};

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

/// As a text in HTML.
pub(crate) fn escaped(text: &str) -> impl fmt::Display {
    match escape(text, Html) {
        Ok(safe) => safe,
        Err(never) => match never {},
    }
}

/// Errors are written without a capital letter and a full stop.
pub(crate) fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    let stop = if reason.ends_with(['.', '!', '?']) { "" } else { "." };
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).chain(stop.chars()).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stands_between_backticks_and_everything_is_escaped() {
        assert_eq!(
            Prose("use `<a>` or `b`, not `").to_string(),
            "use <code>&#60;a&#62;</code> or <code>b</code>, not `"
        );
    }

    #[test]
    fn errors_become_sentences() {
        assert_eq!(sentence("it has ended"), "It has ended.");
        assert_eq!(sentence("Why?"), "Why?");
        assert_eq!(sentence(""), "");
    }
}
