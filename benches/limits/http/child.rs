//! A server in a process of its own, seen from here.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use idnow_webhooks_testkit::Provider;

pub const CPU_TIME_IS_KNOWN: bool = cfg!(target_os = "linux");

pub struct Server {
    process: Child,
    /// The server ends when this is closed.
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub port: u16,
}

impl Server {
    /// `file` is for its store, `processor` the only one that it may run on.
    pub fn start(
        framework: &str,
        side: &str,
        file: Option<&Path>,
        processor: Option<usize>,
        provider: &Provider,
    ) -> Self {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["serve", framework, side]).arg(file.unwrap_or(Path::new("")));
        Self::of(program.args(processor.map(|processor| processor.to_string())), provider)
    }

    /// Starts any program that takes a JWKS in a line, tells its port, and, once its input is closed, what it has handled.
    pub fn of(program: &mut Command, provider: &Provider) -> Self {
        let mut process = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = process.stdin.take().unwrap();
        writeln!(input, "{}", provider.key().jwks()).unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, port: number(&mut output), output }
    }

    /// Nanoseconds on a processor, of all threads, since the start.
    pub fn cpu_time(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/task", self.process.id()))
            .unwrap()
            .map(|task| {
                let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
                text.split(' ').next().unwrap().parse::<u64>().unwrap()
            })
            .sum()
    }

    /// Stops it, and gives the number of events that reached its handler.
    pub fn end(mut self) -> u64 {
        drop(self.input);
        let handled = number(&mut self.output);
        self.process.wait().unwrap();
        handled
    }
}

fn number<N: std::str::FromStr<Err: std::fmt::Debug>>(output: &mut BufReader<ChildStdout>) -> N {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim().parse().unwrap()
}
