//! Runs a subject under valgrind's callgrind, and reads what that counted.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::subjects::{DELIVERIES, Subject};

/// The first argument of the process that is counted.
pub const RUN: &str = "run";
/// The function whose instructions, and those of what it calls, count.
const MEASURED: &str = "instructions::subjects::measured";
/// The C library copies and compares with whatever the processor has. Told that it has nothing, it does the same
/// everywhere; names that it does not know are ignored.
const PLAIN_PROCESSOR: &str = "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX_Usable,-AVX2_Usable,-AVX_Fast_Unaligned_Load,-BMI2,\
     -AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,-SSSE3,-SSE4_1,-SSE4_2,-Fast_Unaligned_Copy";
/// What Rust calls to get memory.
const ALLOCATE: [&str; 3] = ["__rust_alloc", "__rust_alloc_zeroed", "__rust_realloc"];

/// Of one delivery.
#[derive(Clone, Copy)]
pub struct Counts {
    pub instructions: f64,
    pub allocations: f64,
}

pub fn count(subject: &Subject, tokens: &Path, folder: &Path) -> Result<Counts, String> {
    let file = folder.join(format!("callgrind.{}", subject.name.replace([' ', ',', ':'], "_")));
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", file.display()));
    // What happens between entering and leaving the function is written to a file of its own.
    command.arg(format!("--zero-before={MEASURED}")).arg(format!("--dump-after={MEASURED}"));
    if let Some(excluded) = subject.excluded {
        // It counts until it comes to one of these; without the second option it would begin there.
        command.arg(format!("--toggle-collect={excluded}")).arg("--collect-atstart=yes");
    }
    let program =
        std::env::current_exe().map_err(|error| format!("this program is not to be found: {error}"))?;
    command.arg(program).args([RUN, subject.name]).arg(tokens).env("GLIBC_TUNABLES", PLAIN_PROCESSOR);
    // What it leaves behind goes with the folder.
    command.env("TMPDIR", folder);
    let output = command.output().map_err(|error| format!("valgrind cannot be started: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{}` failed under valgrind, which said:\n{said}", subject.name));
    }
    let file = file.with_added_extension("1");
    let text = fs::read_to_string(&file).map_err(|error| {
        format!("callgrind has not written {}, as if `{MEASURED}` was never called: {error}", file.display())
    })?;
    Counts::read(&text).ok_or_else(|| format!("{} has no line of totals", file.display()))
}

impl Counts {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn read(text: &str) -> Option<Self> {
        let total: u64 = text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()?;
        // A function is `(7) name` where it is first mentioned, and `(7)` from then on.
        let (mut allocate, mut allocations, mut callee) = (HashSet::new(), 0, "");
        for line in text.lines() {
            if let Some(function) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
                let (id, name) = function.split_once(' ').unwrap_or((function, ""));
                if ALLOCATE.iter().any(|allocate| name.ends_with(allocate)) {
                    allocate.insert(id);
                }
                callee = id;
            } else if let Some(calls) = line.strip_prefix("calls=")
                && allocate.contains(callee)
            {
                allocations += calls.split(' ').next()?.parse::<u64>().ok()?;
            }
        }
        let each = |count: u64| count as f64 / DELIVERIES as f64;
        Some(Self { instructions: each(total), allocations: each(allocations) })
    }
}
