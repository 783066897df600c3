//! The table that is printed, and the verdict.

use std::process::ExitCode;

use crate::measure::{Comparison, Effort};

/// What a comparison must not exceed.
#[derive(Clone, Copy)]
pub enum Limit {
    /// Ours at most this many times the reference.
    Ratio(f64),
    /// Ours must do at least this many times what the reference does in the same time.
    Rate(f64),
    /// Ours at most this many microseconds above the reference.
    Microseconds(f64),
    /// Only reported, as a ratio.
    None,
    /// Only reported, as a [`Rate`](Self::Rate).
    AnyRate,
}

pub struct Report {
    effort: Effort,
    broken: usize,
}

impl Report {
    pub fn new(effort: Effort) -> Self {
        Self { effort, broken: 0 }
    }

    pub fn section(title: &str, ours: &str, reference: &str) {
        println!("\n{title}");
        println!("{:48} | {ours:>10} | {reference:>10} | {:>17} | {:>9} | ok", "", "result", "limit");
        println!("{:-<48}-|-{:-<10}-|-{:-<10}-|-{:-<17}-|-{:-<9}-|---", "", "", "", "", "");
    }

    pub fn row(&mut self, name: &str, comparison: &Comparison, limit: Limit) {
        let Comparison { ratio, difference, .. } = comparison;
        let as_ratio = format!("{:.3}x ± {:.3}", ratio.median, ratio.noise);
        let as_rate = format!("{:.3}x ± {:.3}", 1.0 / ratio.median, ratio.noise / ratio.median.powi(2));
        let (result, allowed, holds) = match limit {
            Limit::Rate(least) => (as_rate, format!(">= {least:.2}x"), Some(1.0 / ratio.median >= least)),
            Limit::AnyRate => (as_rate, "-".into(), None),
            Limit::Ratio(most) => (as_ratio, format!("{most:.2}x"), Some(ratio.median <= most)),
            Limit::Microseconds(most) => (
                format!("{:+.2} us ± {:.2}", difference.median, difference.noise),
                format!("+{most:.1} us"),
                Some(difference.median <= most),
            ),
            Limit::None => (as_ratio, "-".into(), None),
        };
        let verdict = match holds {
            _ if self.effort == Effort::Quick => "-",
            None => "-",
            Some(true) => "yes",
            Some(false) => "NO",
        };
        self.broken += usize::from(verdict == "NO");
        println!(
            "{name:48} | {:7.2} us | {:7.2} us | {result:>17} | {allowed:>9} | {verdict}",
            comparison.ours, comparison.reference,
        );
    }

    /// Something that is no ratio.
    pub fn verdict(&mut self, what: &str, holds: bool) {
        let verdict = match holds {
            _ if self.effort == Effort::Quick => "-",
            true => "yes",
            false => "NO",
        };
        self.broken += usize::from(verdict == "NO");
        println!("{what} | {verdict}");
    }

    pub fn end(self) -> ExitCode {
        match self.broken {
            0 => ExitCode::SUCCESS,
            broken => {
                println!("\n{broken} limit(s) broken");
                ExitCode::FAILURE
            }
        }
    }
}
