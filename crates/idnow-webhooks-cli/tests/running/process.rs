//! A command that runs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The command, without the variables of whoever runs the tests.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idnow-webhooks"));
    // As on a machine without root certificates: all of it is plain HTTP.
    command.env_clear().env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nonexistent");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs a command that ends by itself.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    let [out, err] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Ended { code: status.code(), out, err }
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The error, if nothing but an error was printed.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert!(self.code == Some(code) && self.out.is_empty() && !self.err.is_empty(), "{self:?}");
        self.err
    }
}

/// A command that runs until it is stopped. It is stopped when it is dropped, so that it leaves nothing behind.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    /// All that was printed so far.
    pub(crate) out: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// One whose standard output is piped; standard error is read if it is, too.
    pub(crate) fn of(mut child: Child) -> Self {
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = child.stderr.take();
        let errors = std::thread::spawn(move || {
            let mut errors = String::new();
            if let Some(mut stderr) = stderr {
                let _ = stderr.read_to_string(&mut errors);
            }
            errors
        });
        Self { child, lines, errors: Some(errors), out: String::new() }
    }

    /// The next line.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.out.push_str(&line);
                self.out.push('\n');
                line
            }
            Err(RecvTimeoutError::Timeout) => panic!("nothing was printed after {:?}", self.out),
            Err(RecvTimeoutError::Disconnected) => {
                let errors = self.errors.take().unwrap().join().unwrap();
                panic!("it ended after {:?}: {errors}", self.out)
            }
        }
    }

    #[track_caller]
    pub(crate) fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Reads until a line contains this.
    #[track_caller]
    pub(crate) fn until(&mut self, part: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Sends `INT` or `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Waits until it has ended, and gives what it printed in all.
    pub(crate) fn ended(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if began.elapsed() > PATIENCE => panic!("it does not end after {:?}", self.out),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.out.push_str(&line);
            self.out.push('\n');
        }
        let err = self.errors.take().unwrap().join().unwrap();
        Ended { code: status.code(), out: std::mem::take(&mut self.out), err }
    }

    /// Stops it as Ctrl-C does.
    pub(crate) fn stop(self) -> Ended {
        self.signal("INT");
        self.ended()
    }

    /// Nobody reads what it prints from now on.
    pub(crate) fn stdout_of(command: &mut Command) -> (Child, BufReader<ChildStdout>) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        (child, stdout)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let began = Instant::now();
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal("TERM");
        }
        while began.elapsed() < Duration::from_secs(5)
            && self.child.try_wait().is_ok_and(|ended| ended.is_none())
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
