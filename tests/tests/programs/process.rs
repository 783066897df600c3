//! Builds and runs programs of this workspace.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use idnow_webhooks_conformance::Reserved;

/// Longer than a program takes to start on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    /// A package of `examples/`.
    Package(&'static str),
    /// A program of the README, an example of the facade.
    Readme(&'static str),
}

pub(crate) struct Running {
    child: Child,
    /// Reads all of it, unless the test has other plans for it.
    log: Option<JoinHandle<String>>,
    pub(crate) url: String,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Where this test was built, and so everything else of the workspace: `<target>/debug`.
pub(crate) fn target_directory() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().to_owned()
}

/// All at once and with every feature, as the tests themselves are built: so little is compiled anew.
pub(crate) fn build() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let target = target_directory();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--workspace", "--all-features", "--bins", "--examples", "--locked", "--quiet"]);
        cargo.arg("--target-dir").arg(target.parent().unwrap()).current_dir(root());
        if target.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the programs cannot be built");
    });
}

pub(crate) fn command(program: Program, variables: &[(&'static str, String)]) -> Command {
    within(Command::new(path(program)), variables)
}

/// The same for a program that may have so many files open, sockets among them.
pub(crate) fn command_with_files(
    program: Program,
    variables: &[(&'static str, String)],
    files: u32,
) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(format!("ulimit -n {files} && exec \"$0\" \"$@\"")).arg(path(program));
    within(shell, variables)
}

fn path(program: Program) -> PathBuf {
    build();
    match program {
        Program::Package(name) => target_directory().join(name),
        Program::Readme(name) => target_directory().join("examples").join(name),
    }
}

fn within(mut command: Command, variables: &[(&'static str, String)]) -> Command {
    // Nothing of the environment of whoever runs the tests.
    command.env_clear().envs(variables.iter().map(|(name, value)| (*name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a program and waits until it listens.
pub(crate) fn start(program: Program, variables: &[(&'static str, String)]) -> Running {
    let mut command = command(program, variables);
    match program {
        Program::Package(_) => {
            let mut running = Running::new(command.env("LISTEN", "127.0.0.1:0"));
            let mut line = String::new();
            BufReader::new(running.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
            running.url = url.unwrap_or_else(|| panic!("{program:?} said {line:?}: {}", running.read_log()));
            running
        }
        // These do not say where they listen.
        Program::Readme(_) => start_at(command),
    }
}

/// Starts a program that cannot be asked where it listens, and waits until it does.
pub(crate) fn start_at(mut command: Command) -> Running {
    let reserved = Reserved::new();
    let address = reserved.address();
    let mut running = Running::new(command.env("LISTEN", address.to_string()));
    running.url = format!("http://{address}/webhooks/idnow");
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(address).is_err() {
        let ended = running.child.try_wait().unwrap();
        assert!(ended.is_none(), "{command:?} has ended: {ended:?} {}", running.read_log());
        assert!(Instant::now() < deadline, "{command:?} does not listen after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
    running
}

/// Runs a program that is expected to stop by itself.
pub(crate) fn fails(program: Program, variables: &[(&'static str, String)]) -> (ExitStatus, String) {
    let output = command(program, variables).output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

impl Running {
    fn new(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut log = String::new();
                stderr.read_to_string(&mut log).unwrap();
                log
            })
        });
        Self { child, log, url: String::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.url.split('/').nth(2).unwrap().parse().unwrap()
    }

    /// Sends SIGTERM, and gives the exit status and the log.
    pub(crate) fn terminate(self) -> (ExitStatus, String) {
        self.stop("-TERM")
    }

    /// As Ctrl-C does: SIGINT.
    pub(crate) fn interrupt(self) -> (ExitStatus, String) {
        self.stop("-INT")
    }

    fn stop(mut self, signal: &str) -> (ExitStatus, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end after {PATIENCE:?}"),
            }
            thread::sleep(Duration::from_millis(10));
        };
        (status, self.read_log())
    }

    /// Until the program has ended.
    fn read_log(&mut self) -> String {
        self.log.take().map(|log| log.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
