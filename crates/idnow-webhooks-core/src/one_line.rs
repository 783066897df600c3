//! Texts of others, made fit for one line of a log.

use std::fmt::{self, Write};

/// Writes everything that could break the line, or move a terminal's cursor, as an escape.
pub(crate) struct OneLine<'a, W: ?Sized>(pub(crate) &'a mut W);

impl<W: Write + ?Sized> Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| match character {
            '"' | '\'' | '\\' => self.0.write_char(character),
            _ => character.escape_debug().try_for_each(|escaped| self.0.write_char(escaped)),
        })
    }
}

/// One line of at most about `most` characters.
pub(crate) fn one_line(text: &impl fmt::Display, most: usize) -> String {
    let whole = text.to_string();
    let mut line = String::new();
    let end = whole.char_indices().nth(most).map(|(at, _)| at);
    // Writing to a `String` cannot fail.
    let _ = OneLine(&mut line).write_str(whole.get(..end.unwrap_or(whole.len())).unwrap_or_default());
    if end.is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_whole_and_short() {
        assert_eq!(one_line(&"say \"hi\" \\ 'there'", 100), "say \"hi\" \\ 'there'");
        assert_eq!(one_line(&"a\r\nb\u{1b}[2J\0\u{202e}ü", 100), r"a\r\nb\u{1b}[2J\0\u{202e}ü");
        assert_eq!(one_line(&"äöü", 3), "äöü");
        assert_eq!(one_line(&"äöü", 2), "äö…");
    }
}
