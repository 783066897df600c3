use std::path::Path;

use anstream::println;
use anstyle::{AnsiColor, Style};
use reqwest::StatusCode;

use super::script::Step;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

pub(super) fn opening(receiver: &str, store: &Path, issuer: &str) {
    println!("{DIM}receiver   {receiver} (axum){DIM:#}");
    println!("{DIM}store      {} (SQLite){DIM:#}", store.display());
    println!("{DIM}key server {issuer}{DIM:#}");
}

pub(super) fn title(title: &str) {
    println!("\n{BOLD}{title:<42} answer                        callback{BOLD:#}");
}

pub(super) fn step(step: &Step, status: StatusCode, code: Option<&str>, calls: &[String], as_expected: bool) {
    let (mark, style) = if as_expected { ("✓", GOOD) } else { ("✗", BAD) };
    let answer = format!("{} {}", status.as_u16(), code.unwrap_or_default());
    let callback = callbacks(calls);
    println!("{style}{mark}{style:#} {:<40} {style}{answer:<29}{style:#} {DIM}{callback}{DIM:#}", step.what);
    if !as_expected {
        let (status, expected) = (step.status.as_u16(), callbacks(&step.calls));
        println!("  {BAD}expected: {status} and callback {expected}{BAD:#}");
    }
}

/// One a line, below each other.
fn callbacks(calls: &[String]) -> String {
    let next_line = format!("\n{:73}", "");
    if calls.is_empty() { "-".to_owned() } else { calls.join(&next_line) }
}

pub(super) fn summary(right: usize, wrong: usize) {
    let all = right + wrong;
    if wrong == 0 {
        println!("\n{GOOD}All {all} answers were right.{GOOD:#}");
    } else {
        println!("\n{BAD}{wrong} of {all} answers were wrong.{BAD:#}");
    }
}
