//! Measures the SDK against receivers written by hand, and its stores against bare statements, and fails when it
//! costs more than it may.
//!
//! ```text
//! cargo bench -p idnow-webhooks-bench                      # all but the next three, some minutes
//! cargo bench -p idnow-webhooks-bench -- memory            # a million deliveries, some minutes
//! cargo bench -p idnow-webhooks-bench -- capacity          # what an event takes; judges nothing
//! cargo bench -p idnow-webhooks-bench -- compare           # by `scripts/compare`; judges nothing
//! cargo bench -p idnow-webhooks-bench -- verify adapters   # some of it
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
mod capacity;
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

const SECTIONS: [(&str, Section); 9] = [
    ("verify", verify::run),
    ("adapters", adapters::run),
    ("http", http::run),
    ("sqlite", stores::sqlite),
    ("postgres", stores::postgres),
    ("sandbox", sandbox::run),
    ("memory", memory::run),
    ("capacity", capacity::run),
    ("compare", compare::run),
];

/// Or `--quick`: the first takes minutes and a gigabyte of disk, the others judge nothing.
const ONLY_IF_NAMED: [&str; 3] = ["memory", "capacity", "compare"];

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
        let unasked = effort == Effort::Quick || !ONLY_IF_NAMED.contains(&name);
        if chosen.contains(&name) || (chosen.is_empty() && unasked) {
            run(effort, &mut report);
        }
    }
    report.end()
}
