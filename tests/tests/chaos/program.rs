//! The example program, which comes and goes.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use idnow_webhooks_conformance::Reserved;
use idnow_webhooks_sandbox::Sandbox;

use crate::process::{Program, command};

const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Example {
    pub(crate) url: String,
    pub(crate) store: PathBuf,
    /// It is down now and then: nobody else may have its port meanwhile.
    reserved: Reserved,
    log: PathBuf,
    variables: Vec<(&'static str, String)>,
    child: Option<Child>,
}

impl Example {
    pub(crate) fn new(folder: &Path, sandbox: &Sandbox) -> Self {
        let reserved = Reserved::new();
        let address = reserved.address();
        let (url, store) = (format!("http://{address}/webhooks/idnow"), folder.join("events.db"));
        let variables = vec![
            ("LISTEN", address.to_string()),
            ("IDNOW_ISSUER", sandbox.issuer().to_owned()),
            ("IDNOW_JWKS_URL", sandbox.jwks_url().to_owned()),
            ("IDNOW_AUDIENCE", url.clone()),
            ("IDNOW_STORE", format!("sqlite:{}", store.display())),
            // The provider's time goes a hundred times as fast here, and the usual 10 s are its whole 17 minutes.
            ("IDNOW_JWKS_MIN_REFRESH_SECONDS", "1".to_owned()),
            ("NO_PROXY", "*".to_owned()),
        ];
        Self { url, store, reserved, log: folder.join("log"), variables, child: None }
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn start(&mut self) {
        let log = File::options().append(true).create(true).open(&self.log).unwrap();
        let mut command = command(Program::Package("example-axum"), &self.variables);
        let mut child = command.stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        self.child = Some(child);
        assert!(line.starts_with("listening on "), "it said {line:?}: {}", self.log_end());
    }

    /// SIGTERM: it must end well.
    pub(crate) fn terminate(&mut self) {
        let mut child = self.running();
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log_end());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.running();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn running(&mut self) -> Child {
        let mut child = self.child.take().unwrap();
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself: {}", self.log_end());
        child
    }

    /// As a receiver without a store on disk would.
    pub(crate) fn forget(&self) {
        for end in ["", "-wal", "-shm"] {
            std::fs::remove_file(format!("{}{end}", self.store.display())).ok();
        }
    }

    /// Waits until its worker has nothing to do.
    pub(crate) async fn is_done(&self) {
        let (url, deadline) =
            (format!("http://{}/health", self.reserved.address()), Instant::now() + PATIENCE);
        loop {
            let health = reqwest::get(&url).await.unwrap().bytes().await.unwrap();
            let health: serde_json::Value = serde_json::from_slice(&health).unwrap();
            if health["store"]["waiting"] == 0 && health["store"]["running"] == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "after {PATIENCE:?}: {health}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn log_end(&self) -> String {
        let log = self.log();
        let skipped = log.lines().count().saturating_sub(30);
        log.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
