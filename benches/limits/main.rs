//! Measures the SDK against receivers written by hand, and its stores against bare statements, and fails when it
//! costs more than it may.
//!
//! ```text
//! cargo bench -p idnow-webhooks-bench                      # everything but `memory` and `compare`, some minutes
//! cargo bench -p idnow-webhooks-bench -- verify adapters   # some of it
//! cargo bench -p idnow-webhooks-bench -- memory            # a million deliveries, some minutes
//! cargo bench -p idnow-webhooks-bench -- --quick           # does it run at all? judges no limit
//! ```
//!
//! Both sides of every comparison run in the same process or on the same machine, in turns of a few
//! milliseconds, and the median over many turns counts: whatever disturbs the machine disturbs both.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a program for the terminal, which stops at the first surprise"
)]

mod adapters;
mod by_hand;
mod compare;
mod fixture;
mod http;
mod measure;
mod memory;
mod report;
mod sandbox;
mod servers;
mod stores;
mod verify;

use std::process::ExitCode;

use measure::Effort;
use report::Report;

type Section = fn(Effort, &mut Report);

const SECTIONS: [(&str, Section); 8] = [
    ("verify", verify::run),
    ("adapters", adapters::run),
    ("http", http::run),
    ("sqlite", stores::sqlite),
    ("postgres", stores::postgres),
    ("sandbox", sandbox::run),
    ("memory", memory::run),
    ("compare", compare::run),
];

/// The one takes minutes and a gigabyte of disk, so it is only run in full when it is named; the other takes what
/// `scripts/compare` installs.
const ONLY_IF_NAMED: [&str; 2] = ["memory", "compare"];

fn main() -> ExitCode {
    // Named, as jsonwebtoken panics when a build happens to contain both of its backends.
    jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default().ok();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["serve", ref arguments @ ..] = arguments[..] {
        http::serve(arguments);
        return ExitCode::SUCCESS;
    }
    if let ["send", ref arguments @ ..] = arguments[..] {
        sandbox::send(arguments);
        return ExitCode::SUCCESS;
    }
    let mut effort = Effort::Full;
    let mut chosen = Vec::new();
    for argument in arguments {
        match argument {
            "--bench" => {} // from cargo
            "--quick" => effort = Effort::Quick,
            name if SECTIONS.iter().any(|(section, _)| *section == name) => chosen.push(name),
            other => {
                eprintln!(
                    "unknown argument `{other}`: expected --quick, {}",
                    SECTIONS.map(|(name, _)| name).join(", ")
                );
                return ExitCode::from(2);
            }
        }
    }
    if cfg!(debug_assertions) {
        println!("a debug build: nothing is judged");
        effort = Effort::Quick;
    }
    let mut report = Report::new(effort);
    for (name, run) in SECTIONS {
        let by_itself = !ONLY_IF_NAMED.contains(&name) || (name == "memory" && effort == Effort::Quick);
        let all = chosen.is_empty() && by_itself;
        if all || chosen.contains(&name) {
            run(effort, &mut report);
        }
    }
    report.end()
}
