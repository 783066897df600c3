//! The counts that are kept in the repository.

use std::fmt::Write as _;
use std::process::{Command, ExitCode};
use std::{fs, io};

use crate::callgrind::Counts;

/// As it is called in the repository.
pub const NAME: &str = "benches/instructions/baseline.txt";
pub const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions/baseline.txt");
/// How many more instructions there may be, as a share of the baseline's.
const MOST: f64 = 0.05;
/// How many more allocations. They hardly vary, so one more for each delivery is told from none.
const MOST_ALLOCATIONS: f64 = 0.5;
const HEAD: &str = "# Instructions and allocations of one delivery: see docs/speed.md. Written by `scripts/instructions --accept`.";

pub struct Baseline {
    /// The version of rustc, and other things that counts depend on.
    made_with: [String; 3],
    counts: Vec<(String, Counts)>,
}

pub fn table(counted: &[(&str, Counts)]) -> String {
    counted.iter().fold(String::new(), |mut table, (name, counts)| {
        let Counts { instructions, allocations } = counts;
        let _ = writeln!(table, "{name:32} | {instructions:8.0} | {allocations:6.2}");
        table
    })
}

impl Baseline {
    pub fn write(counted: &[(&str, Counts)]) -> io::Result<()> {
        let [rustc, libc, valgrind] = made_with();
        let head = format!("{HEAD}\n# {rustc}\n# {libc}\n# {valgrind}\n");
        fs::write(FILE, head + &table(counted))
    }

    fn read() -> Result<Self, String> {
        let again = "check it out again, or make it anew with `scripts/instructions --accept`";
        let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}: {again}"))?;
        Self::parse(&text).ok_or_else(|| format!("{FILE} is not as this program writes it: {again}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut head = text.lines().skip(1).map_while(|line| line.strip_prefix("# ").map(str::to_owned));
        let made_with = [head.next()?, head.next()?, head.next()?];
        let counts = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let mut cells = line.split('|').map(str::trim);
            let name = cells.next()?.to_owned();
            let (instructions, allocations) = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
            Some((name, Counts { instructions, allocations }))
        });
        Some(Self { made_with, counts: counts.collect::<Option<_>>()? })
    }
}

/// Prints how the counts differ from those of the baseline, and judges.
pub fn compare(counted: &[(&'static str, Counts)]) -> ExitCode {
    let baseline = match Baseline::read() {
        Ok(baseline) => baseline,
        Err(what) => {
            eprintln!("{what}");
            return ExitCode::from(2);
        }
    };
    let (mut grown, mut shrunk) = (Vec::new(), Vec::new());
    println!("{:32} | {:>21} | {:>21} |", "one delivery", "instructions", "allocations");
    println!("{:-<32}-|-{:->21}-|-{:->21}-|---", "", "", "");
    for (name, counts) in counted {
        let Some((_, before)) = baseline.counts.iter().find(|(kept, _)| kept == name) else {
            println!(
                "{name:32} | {:8.0} {:12} | {:8.2} {:12} | NEW",
                counts.instructions, "", counts.allocations, ""
            );
            grown.push(*name);
            continue;
        };
        let changes = [
            (counts.instructions, before.instructions, before.instructions * MOST),
            (counts.allocations, before.allocations, MOST_ALLOCATIONS),
        ];
        let is_grown = changes.iter().any(|(now, before, most)| now - before > *most);
        let is_shrunk = changes.iter().any(|(now, before, most)| before - now > *most);
        let verdict = match (is_grown, is_shrunk) {
            (true, _) => "GROWN",
            (false, true) => "less",
            (false, false) => "ok",
        };
        println!(
            "{name:32} | {:8.0} {:+10.2} % | {:8.2} {:+12.2} | {verdict}",
            counts.instructions,
            (counts.instructions / before.instructions - 1.0) * 100.0,
            counts.allocations,
            counts.allocations - before.allocations
        );
        if is_grown {
            grown.push(*name);
        } else if is_shrunk {
            shrunk.push(*name);
        }
    }
    println!();
    let gone = baseline.counts.iter().filter(|(kept, _)| !counted.iter().any(|(name, _)| kept == name));
    let gone: Vec<&str> = gone.map(|(name, _)| name.as_str()).collect();
    verdict(&baseline.made_with, &grown, &shrunk, &gone)
}

fn verdict(before @ [rustc, ..]: &[String; 3], grown: &[&str], shrunk: &[&str], gone: &[&str]) -> ExitCode {
    let now = made_with();
    let differing = before.iter().zip(&now).filter(|(before, now)| before != now);
    let differing: Vec<String> = differing.map(|(before, now)| format!("  {before}; now {now}")).collect();
    if !differing.is_empty() {
        println!("The baseline was made with other tools:\n{}", differing.join("\n"));
    }
    if !differing.is_empty() {
        println!(
            "Another compiler or C library makes other instructions, so nothing is judged. Take the baseline's (with \
             rustup: RUSTUP_TOOLCHAIN={} scripts/instructions). To go over to these, first see with the old ones that \
             nothing has grown, and then, from the same code: scripts/instructions --accept",
            rustc.split(' ').nth(1).unwrap_or_default()
        );
        return ExitCode::from(3);
    }
    if !gone.is_empty() {
        println!("In the baseline, but no longer counted: {}", gone.join("; "));
    }
    if !shrunk.is_empty() {
        println!("Less than before, by more than may vary: {}", shrunk.join("; "));
    }
    if !grown.is_empty() {
        println!(
            "More than {} % or {MOST_ALLOCATIONS} allocations above the baseline, or not in it: {}",
            MOST * 100.0,
            grown.join("; ")
        );
    }
    if !(gone.is_empty() && shrunk.is_empty() && grown.is_empty()) {
        println!("If that is meant: `scripts/instructions --accept`, and commit {NAME} with the reason.");
    }
    if grown.is_empty() && gone.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn made_with() -> [String; 3] {
    ["rustc", "ldd", "valgrind"].map(|program| {
        let output = Command::new(program).arg("--version").output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let version = text.lines().next().unwrap_or(program);
        // Another processor has other instructions, just as another compiler makes others.
        if program == "rustc" {
            format!("{version} for {}", std::env::consts::ARCH)
        } else {
            version.to_owned()
        }
    })
}
