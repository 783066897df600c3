//! What is wrong with the fields of a form.

use std::fmt;

use askama::filters::HtmlSafe;

use super::failure::Failure;
use super::prose::{Prose, sentence};
use crate::error::Error;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stands_beside_the_field_and_is_escaped() {
        let mut errors = Errors::default();
        errors.add("url", "<b>\"&'");
        assert_eq!(
            errors.tell("url").to_string(),
            "<p class=\"error\" id=\"url-error\">&#60;b&#62;&#34;&#38;&#39;</p>"
        );
        assert_eq!(errors.mark("name").to_string(), "");
        assert_eq!(
            errors.mark_with("url", "url-hint").to_string(),
            "aria-invalid=\"true\" aria-describedby=\"url-error url-hint\" autofocus"
        );
    }
}
