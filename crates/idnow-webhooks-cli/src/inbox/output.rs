//! Where everything is printed.

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use super::text;

/// Standard output. What its reader does not want to see any more (`| head`) is thrown away.
pub(super) struct Output {
    to: Box<dyn Write + Send>,
    width: Option<u16>,
    json: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        // Some pseudo terminals do not know their size.
        let width = comfy_table::Table::new().width().filter(|width| *width > 0);
        Self { to: Box::new(anstream::stdout()), width: width.filter(|_| terminal), json }
    }

    #[cfg(test)]
    pub(super) fn test(to: impl Write + Send + 'static, width: Option<u16>, json: bool) -> Self {
        Self { to: Box::new(to), width, json }
    }

    /// Whether other programs read this.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// The columns of the terminal. `None` if it is a pipe or a file.
    pub(super) fn width(&self) -> Option<u16> {
        self.width
    }

    /// Prints a line, or several.
    pub(super) fn text(&mut self, lines: &str) -> io::Result<()> {
        match writeln!(self.to, "{lines}").and_then(|()| self.to.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.to = Box::new(io::sink());
                Ok(())
            }
            done => done,
        }
    }

    /// Prints a JSON document.
    pub(super) fn document(&mut self, value: &impl Serialize) -> io::Result<()> {
        let lines = text::json(value)?;
        self.text(&lines)
    }
}

/// How far something long has come, if somebody is watching.
pub(super) struct Progress {
    shown: bool,
    verb: &'static str,
}

impl Progress {
    pub(super) fn new(verb: &'static str) -> Self {
        Self { shown: io::stderr().is_terminal(), verb }
    }

    pub(super) fn show(&self, done: usize) {
        if self.shown {
            // Nothing depends on it.
            let _ = write!(io::stderr(), "\r{} {done}", self.verb);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r{:width$}\r", "", width = self.verb.len() + 21);
        }
    }
}
