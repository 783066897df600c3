use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::PrivatePostgresError;
use crate::binaries::Binaries;
use crate::folder::Folder;

/// Starts the server, says its process id, and stops it when told so, or when the test process is gone: the pipe then
/// closes, whatever ended that process.
const SUPERVISOR: &str = r#"
postgres=$1 folder=$2 port=$3
shift 3
"$postgres" -D "$folder/data" -p "$port" -k "$folder" \
    -c listen_addresses=127.0.0.1 -c max_connections=300 -c fsync=on \
    -c synchronous_commit=on -c full_page_writes=on -c log_statement=none "$@" >>"$folder/log" 2>&1 </dev/null &
server=$!
echo "$server"
read -r signal || signal=QUIT
kill -s "$signal" "$server" 2>/dev/null
wait "$server"
"#;

/// After a crash the server syncs its whole folder before it reads its log: in one call where there is one, because a
/// thousand files, one after the other, take seconds.
const QUICK_SYNC: [&str; 2] = ["-c", "recovery_init_sync_method=syncfs"];
const QUICK_SYNC_SINCE: u32 = 14;

/// Outside of the ports that systems hand out for connections: none of those can take it while the server is down.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

#[derive(Debug)]
pub(crate) struct Server {
    binaries: Binaries,
    password: String,
    port: u16,
    // Before the folder: dropped in this order.
    running: Mutex<Option<Running>>,
    folder: Folder,
}

#[derive(Debug)]
struct Running {
    supervisor: Child,
    server: u32,
}

impl Server {
    pub(crate) fn create() -> Result<Self, PrivatePostgresError> {
        let binaries = Binaries::find()?;
        let folder = Folder::create()?;
        let password = format!("{:016x}{:016x}", random(), random());
        let password_file = folder.path().join("password");
        std::fs::write(&password_file, &password)
            .map_err(PrivatePostgresError::io("cannot write its password"))?;
        let output = folder
            .command(&binaries.initdb)
            .arg("-D")
            .arg(folder.path().join("data"))
            .args(["-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=password", "--no-sync"])
            .arg("--pwfile")
            .arg(&password_file)
            .stdin(Stdio::null())
            .output()
            .map_err(PrivatePostgresError::io("cannot run initdb"))?;
        if !output.status.success() {
            let wrote = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(PrivatePostgresError::Start(format!("initdb failed: {wrote}")));
        }
        let mut server = Self { binaries, password, port: 0, running: Mutex::default(), folder };
        let mut last = None;
        for _ in 0..5 {
            server.port = free_port()?;
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| PrivatePostgresError::Start("it does not start".into())))
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Whether it still runs.
    pub(crate) fn check(&self) -> Result<(), PrivatePostgresError> {
        let running = self.running();
        if running.as_ref().is_some_and(|running| lives(running.server)) {
            Ok(())
        } else {
            Err(self.failure("it ended"))
        }
    }

    pub(crate) fn stop(&self) -> Result<(), PrivatePostgresError> {
        let Some(running) = self.running().take() else { return Ok(()) };
        running.end("INT")
    }

    pub(crate) fn kill(&self) -> Result<(), PrivatePostgresError> {
        let Some(running) = self.running().take() else { return Ok(()) };
        // Stopped first, it makes no new processes, but for one that it may be making right now: so look again until
        // none is left. Their shared memory must be free before the server can start anew.
        signal("STOP", &[running.server])?;
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let mut processes = self.processes(running.server)?;
            if processes.is_empty() {
                return running.end("KILL");
            }
            if Instant::now() > deadline {
                return Err(PrivatePostgresError::Start(format!("its processes {processes:?} do not die")));
            }
            processes.push(running.server);
            // It fails if one of them has ended by itself.
            let _ = signal("KILL", &processes);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn restart(&self, standby: bool) -> Result<(), PrivatePostgresError> {
        self.stop()?;
        if standby {
            let signal = self.folder.path().join("data/standby.signal");
            std::fs::write(signal, "").map_err(PrivatePostgresError::io("cannot make it a standby"))?;
        }
        self.launch()
    }

    /// Its processes that live: those at work in its folder, or where `/proc` is missing its children.
    fn processes(&self, server: u32) -> Result<Vec<u32>, PrivatePostgresError> {
        if let Ok(processes) = std::fs::read_dir("/proc") {
            let folder = self.folder.path().join("data");
            let here =
                |id: &u32| std::fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|link| link == folder);
            let ids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            return Ok(ids.filter(here).collect());
        }
        let output = Command::new("ps")
            .args(["-A", "-o", "pid=,ppid="])
            .output()
            .map_err(PrivatePostgresError::io("cannot run ps"))?;
        let child = |line: &str| {
            let mut fields = line.split_whitespace().map(str::parse::<u32>);
            let (id, parent) = (fields.next()?.ok()?, fields.next()?.ok()?);
            (parent == server).then_some(id)
        };
        Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(child).collect())
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the server listens, or has given up.
    fn launch(&self) -> Result<(), PrivatePostgresError> {
        let quick_sync = cfg!(target_os = "linux") && self.binaries.version >= QUICK_SYNC_SINCE;
        let mut supervisor = self
            .folder
            .command("sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(&self.binaries.postgres)
            .arg(self.folder.path())
            .arg(self.port.to_string())
            .args(QUICK_SYNC.iter().filter(|_| quick_sync))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for the tests, which then end, and the server with them.
            .process_group(0)
            .spawn()
            .map_err(PrivatePostgresError::io("cannot run sh"))?;
        let mut line = String::new();
        if let Some(stdout) = supervisor.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(PrivatePostgresError::io("cannot read from sh"))?;
        }
        let server = line.trim().parse().map_err(|_| self.failure("sh did not start it"))?;
        *self.running() = Some(Running { supervisor, server });
        let deadline = Instant::now() + Duration::from_secs(30);
        let ready = self.folder.path().join("data/postmaster.pid");
        // The eighth line of this file tells how far it is.
        while !std::fs::read_to_string(&ready).is_ok_and(|text| {
            text.lines().next() == Some(line.trim())
                && text.lines().nth(7).is_some_and(|state| ["ready", "standby"].contains(&state.trim()))
        }) {
            if let Err(error) = self.check() {
                // Its supervisor waits for a word.
                let _ = self.stop();
                return Err(error);
            }
            if Instant::now() > deadline {
                return Err(self.failure("it is not ready after 30 s"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn failure(&self, what: &str) -> PrivatePostgresError {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(15).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        PrivatePostgresError::Start(format!("{what}. Its log ends with:\n{}", lines.join("\n")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running().take() {
            let _ = running.end("QUIT");
        }
    }
}

impl Running {
    fn end(mut self, signal: &str) -> Result<(), PrivatePostgresError> {
        if let Some(mut stdin) = self.supervisor.stdin.take() {
            // It fails if the supervisor is gone, and the server with it.
            let _ = writeln!(stdin, "{signal}");
        }
        self.supervisor.wait().map_err(PrivatePostgresError::io("cannot wait for sh"))?;
        Ok(())
    }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn free_port() -> Result<u16, PrivatePostgresError> {
    let span = u64::from(PORTS.end - PORTS.start);
    for _ in 0..1000 {
        let Ok(offset) = u16::try_from(random() % span) else { continue };
        let port = PORTS.start + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(PrivatePostgresError::Start(format!("no port of {PORTS:?} is free")))
}

fn signal(name: &str, processes: &[u32]) -> Result<(), PrivatePostgresError> {
    let status = Command::new("sh")
        .args(["-c", r#"kill -s "$@""#, "sh", name])
        .args(processes.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status()
        .map_err(PrivatePostgresError::io("cannot run sh"))?;
    if status.success() {
        Ok(())
    } else {
        Err(PrivatePostgresError::Start(format!("cannot send {name} to its processes")))
    }
}

/// Whether a process still holds anything. One that has ended, but whose parent has not asked how, does not.
fn lives(process: u32) -> bool {
    match state(process) {
        Some(state) => state != "Z" && state != "X",
        None => signal("0", &[process]).is_ok(),
    }
}

/// The letter that the system has for what a process does. `None` where there is no `/proc`, and for one that is gone.
fn state(process: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().next().map(str::to_owned)
}
