//! Standard output.

use std::io::{self, ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::text;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();

/// Prints for people, or, one JSON document a line, for programs.
pub(crate) struct Printer {
    to: Box<dyn Write + Send>,
    json: bool,
}

impl Printer {
    pub(crate) fn new(json: bool) -> Self {
        Self { to: Box::new(anstream::stdout()), json }
    }

    #[cfg(test)]
    pub(crate) fn test(to: impl Write + Send + 'static, json: bool) -> Self {
        Self { to: Box::new(to), json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line, or several. Gives `false` once the reader has gone away.
    pub(crate) fn text(&mut self, lines: &str) -> io::Result<bool> {
        match writeln!(self.to, "{lines}").and_then(|()| self.to.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => {
                Err(io::Error::new(error.kind(), format!("standard output cannot be written: {error}")))
            }
        }
    }

    /// Prints a JSON document in one line.
    pub(crate) fn document(&mut self, value: &impl Serialize) -> io::Result<bool> {
        let line = text::json_line(value)?;
        self.text(&line)
    }
}
