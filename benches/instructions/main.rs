//! Counts the instructions and allocations that one delivery costs, and fails when a count has grown by more than
//! 5 % over the one that is kept in `baseline.txt`. Start it by `scripts/instructions`, which finds valgrind.
//!
//! ```text
//! scripts/instructions                # compares with the baseline
//! scripts/instructions --accept       # keeps what it counts as the new baseline
//! scripts/instructions --repeat 10    # counts ten times, not twice, and tells how far the counts differ
//! scripts/instructions --keep FOLDER  # leaves callgrind's files there, for callgrind_annotate
//! ```
//!
//! A number of instructions does not depend on how busy a machine is, so unlike the limits of the other benchmark
//! these can be judged anywhere. What varies with the processor is kept out: the arithmetic of the signature, of
//! which aws-lc has one version for each generation of processors, and the C library's choice of how to copy.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a program for the terminal, which stops at the first surprise"
)]

mod baseline;
mod callgrind;
#[allow(dead_code, reason = "the other benchmark uses the rest")]
#[path = "../limits/fixture.rs"]
mod fixture;
mod subjects;

use std::path::PathBuf;
use std::process::ExitCode;

use baseline::Baseline;
use callgrind::Counts;
use subjects::SUBJECTS;

/// How often each subject is counted, if nobody says.
const REPEAT: usize = 2;

struct Arguments {
    accept: bool,
    repeat: usize,
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, subject, tokens] = &arguments[..]
        && mode == callgrind::RUN
    {
        subjects::run(subject, tokens.as_ref());
        return ExitCode::SUCCESS;
    }
    if cfg!(debug_assertions) {
        eprintln!("a debug build says nothing about speed: run scripts/instructions");
        return ExitCode::from(2);
    }
    let arguments = match Arguments::read(&arguments) {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("{what}\nusage: scripts/instructions [--accept] [--repeat TIMES] [--keep FOLDER]");
            return ExitCode::from(2);
        }
    };
    match count(&arguments) {
        Ok(counted) if arguments.accept => accept(&counted),
        Ok(counted) => baseline::compare(&counted),
        Err(what) => {
            eprintln!("{what}");
            ExitCode::from(2)
        }
    }
}

impl Arguments {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut read = Self { accept: false, repeat: REPEAT, keep: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("`{argument}` needs a value"));
            match argument.as_str() {
                "--accept" => read.accept = true,
                "--repeat" => {
                    let times = value()?.parse().ok().filter(|times| *times > 0);
                    read.repeat = times.ok_or("`--repeat` needs a number from 1")?;
                }
                "--keep" => read.keep = Some(value()?.into()),
                other => return Err(format!("unknown argument `{other}`")),
            }
        }
        Ok(read)
    }
}

/// The least of all repetitions, for each subject: threads that meet each other at an unlucky point only add to it.
fn count(arguments: &Arguments) -> Result<Vec<(&'static str, Counts)>, String> {
    let temporary = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let folder = arguments.keep.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let tokens = subjects::sign(folder);
    let mut counted = Vec::new();
    for subject in &SUBJECTS {
        let mut runs = (0..arguments.repeat)
            .map(|_| callgrind::count(subject, &tokens, folder))
            .collect::<Result<Vec<Counts>, String>>()?;
        runs.sort_by(|one, other| one.instructions.total_cmp(&other.instructions));
        let (least, most) = (runs.first().unwrap(), runs.last().unwrap());
        if arguments.repeat > REPEAT {
            println!(
                "{:32} {:8.0} to {:8.0} instructions, {:.2} % apart",
                subject.name,
                least.instructions,
                most.instructions,
                (most.instructions / least.instructions - 1.0) * 100.0
            );
        }
        counted.push((subject.name, *least));
    }
    Ok(counted)
}

fn accept(counted: &[(&'static str, Counts)]) -> ExitCode {
    match Baseline::write(counted) {
        Ok(()) => {
            println!("{}", baseline::table(counted));
            println!("kept in {}", baseline::NAME);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{} cannot be written: {error}", baseline::FILE);
            ExitCode::from(2)
        }
    }
}
