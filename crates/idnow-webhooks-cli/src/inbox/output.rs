//! Where everything is printed.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::text;
use crate::print::Printer;

/// Standard output. What its reader does not want to see any more (`| head`) is thrown away.
pub(super) struct Output {
    printer: Printer,
    width: Option<u16>,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        // Some pseudo terminals do not know their size.
        let width = comfy_table::Table::new().width().filter(|width| *width > 0);
        Self { printer: Printer::new(json), width: width.filter(|_| terminal) }
    }

    #[cfg(test)]
    pub(super) fn test(to: impl io::Write + Send + 'static, width: Option<u16>, json: bool) -> Self {
        Self { printer: Printer::test(to, json), width }
    }

    /// Whether other programs read this.
    pub(super) fn is_json(&self) -> bool {
        self.printer.is_json()
    }

    /// The columns of the terminal. `None` if it is a pipe or a file.
    pub(super) fn width(&self) -> Option<u16> {
        self.width
    }

    /// Prints a line, or several.
    pub(super) fn text(&mut self, lines: &str) -> io::Result<()> {
        self.printer.text(lines).map(drop)
    }

    /// Prints a JSON document.
    pub(super) fn document(&mut self, value: &impl Serialize) -> io::Result<()> {
        let lines = text::json(value)?;
        self.text(&lines)
    }
}

/// How far something long has come, on standard error, if that is a terminal and people read the output.
pub(super) struct Progress {
    bar: ProgressBar,
    /// What is done with them.
    pub(super) verb: &'static str,
}

impl Progress {
    /// `all` is how many there are, where that is known.
    pub(super) fn new(verb: &'static str, all: Option<usize>, output: &Output) -> Self {
        // A bar hides itself where standard error is no terminal.
        let target =
            if output.is_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let length = all.map(|all| u64::try_from(all).unwrap_or(u64::MAX));
        let bar = ProgressBar::with_draw_target(length, target).with_message(verb);
        let template = if length.is_some() {
            "{msg} [{bar:30}] {human_pos} of {human_len}, {eta} left"
        } else {
            "{spinner} {msg} {human_pos} in {elapsed}"
        };
        // Without its template, it has that of the library.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, verb }
    }

    pub(super) fn show(&self, done: usize) {
        self.bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
