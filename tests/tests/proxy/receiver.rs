//! The axum example behind the proxy.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use idnow_webhooks_testkit::{KeyServer, Provider};
use tempfile::TempDir;

use crate::process::{Program, command};

/// The only address that may deliver.
pub(crate) const PROVIDER: &str = "127.0.0.2";
pub(crate) const STRANGER: &str = "127.0.0.3";
pub(crate) const PATH: &str = "/webhooks/idnow";

/// Longer than a program takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// The provider, its keys, and the store that all receivers of a test share.
pub(crate) struct World {
    keys: KeyServer,
    pub(crate) provider: Provider,
    folder: TempDir,
    /// `IDNOW_STORE`.
    store: String,
}

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl World {
    /// With a store in a file.
    pub(crate) fn new() -> Self {
        let mut world = Self::on(String::new());
        world.store = format!("sqlite:{}", world.file().display());
        world
    }

    /// With the store at this address.
    pub(crate) fn on(store: String) -> Self {
        let keys = KeyServer::start().unwrap();
        let provider = Provider::new().with_issuer(keys.issuer());
        keys.publish(&[provider.key()]);
        Self { keys, provider, folder: tempfile::tempdir().unwrap(), store }
    }

    /// Where the store is, if it is in a file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("events.db")
    }

    /// Starts a receiver, and waits until it has keys.
    pub(crate) async fn receiver(&self) -> Receiver {
        self.receiver_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn receiver_at(&self, listen: SocketAddr) -> Receiver {
        let variables = [
            ("LISTEN", listen.to_string()),
            ("IDNOW_ISSUER", self.keys.issuer().to_owned()),
            ("IDNOW_AUDIENCE", self.provider.audience().to_owned()),
            ("IDNOW_ALLOWED_IPS", PROVIDER.to_owned()),
            ("IDNOW_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("IDNOW_STORE", self.store.clone()),
            ("NO_PROXY", "*".to_owned()),
        ];
        // A file, as a pipe that nobody reads would fill up and stop it.
        let log = tempfile::Builder::new().tempfile_in(self.folder.path()).unwrap().keep().unwrap().1;
        let mut command = command(Program::Package("example-axum"), &variables);
        let mut child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on http://").and_then(|url| url.split('/').next());
        let address =
            address.unwrap_or_else(|| panic!("{line:?}: {}", std::fs::read_to_string(&log).unwrap()));
        let receiver = Receiver { address: address.parse().unwrap(), child, log };
        receiver.is_ready().await;
        receiver
    }
}

impl Receiver {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// SIGTERM, as at a roll-out: it must end well.
    pub(crate) fn terminate(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    async fn is_ready(&self) {
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let url = format!("http://{}/health", self.address);
        let deadline = Instant::now() + PATIENCE;
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(Instant::now() < deadline, "not ready after {PATIENCE:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
