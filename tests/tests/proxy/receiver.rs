//! The axum example behind the proxy.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};

use idnow_webhooks_testkit::{KeyServer, Provider};
use tempfile::TempDir;

use crate::process::{Program, command};

/// The only address that may deliver.
pub(crate) const PROVIDER: &str = "127.0.0.2";
pub(crate) const STRANGER: &str = "127.0.0.3";
pub(crate) const PATH: &str = "/webhooks/idnow";

/// The provider, its keys, and the file that all receivers of a test share.
pub(crate) struct World {
    keys: KeyServer,
    pub(crate) provider: Provider,
    folder: TempDir,
}

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl World {
    pub(crate) fn new() -> Self {
        let keys = KeyServer::start().unwrap();
        let provider = Provider::new().with_issuer(keys.issuer());
        keys.publish(&[provider.key()]);
        Self { keys, provider, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("events.db")
    }

    /// Starts a receiver, and waits until it has keys.
    pub(crate) async fn receiver(&self) -> Receiver {
        self.receiver_at("127.0.0.1:0").await
    }

    pub(crate) async fn receiver_at(&self, listen: &str) -> Receiver {
        let variables = [
            ("LISTEN", listen.to_owned()),
            ("IDNOW_ISSUER", self.keys.issuer().to_owned()),
            ("IDNOW_AUDIENCE", self.provider.audience().to_owned()),
            ("IDNOW_ALLOWED_IPS", PROVIDER.to_owned()),
            ("IDNOW_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("IDNOW_STORE", format!("sqlite:{}", self.store().display())),
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
        for _ in 0..200 {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the receiver is not ready: {}", self.log());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
