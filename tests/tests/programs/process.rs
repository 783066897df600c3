//! Builds and runs programs of this workspace.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Once;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    /// A package of `examples/`.
    Package(&'static str),
    /// A program of the README, an example of the facade.
    Readme(&'static str),
}

pub(crate) struct Running {
    child: Child,
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
    build();
    let path = match program {
        Program::Package(name) => target_directory().join(name),
        Program::Readme(name) => target_directory().join("examples").join(name),
    };
    let mut command = Command::new(path);
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
            let mut child = command.env("LISTEN", "127.0.0.1:0").spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
            let mut running = Running { child, url: String::new() };
            running.url = url.unwrap_or_else(|| panic!("{program:?} said {line:?}: {}", running.read_log()));
            running
        }
        // These say nothing, so they get a port that is free a moment before.
        Program::Readme(_) => {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let child = command.env("LISTEN", free.to_string()).spawn().unwrap();
            let running = Running { child, url: format!("http://{free}/webhooks/idnow") };
            for _ in 0..200 {
                if std::net::TcpStream::connect(free).is_ok() {
                    return running;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            panic!("{program:?} does not listen");
        }
    }
}

/// Runs a program that is expected to stop by itself.
pub(crate) fn fails(program: Program, variables: &[(&'static str, String)]) -> (ExitStatus, String) {
    let output = command(program, variables).output().unwrap();
    (output.status, String::from_utf8(output.stderr).unwrap())
}

impl Running {
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
        let status = self.child.wait().unwrap();
        (status, self.read_log())
    }

    fn read_log(&mut self) -> String {
        let mut log = String::new();
        self.child.stderr.as_mut().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
