//! A real nginx of the test's own, with the configuration that the production guide recommends.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use idnow_webhooks_conformance::Reserved;
use tempfile::TempDir;

use crate::process::root;

pub(crate) const HOST: &str = "bank.example";

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Ends nginx when the test lets go of it, or is gone.
const KEEPER: &str = r#"
"$@" &
read -r nothing
kill -TERM $! 2>/dev/null
wait $!
"#;

pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    certificate: reqwest::Certificate,
    keeper: Child,
    folder: TempDir,
    _reserved: Reserved,
}

/// The recommended configuration, as it is in the repository.
pub(crate) fn recommended() -> String {
    fs::read_to_string(root().join("docs/nginx.conf")).unwrap()
}

/// Replaces what a user would replace, too, and notices when it is no longer there.
pub(crate) fn edit(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "docs/nginx.conf should have {from:?} once");
    text.replace(from, to)
}

/// The recommended configuration, for receivers at these addresses.
pub(crate) fn in_front_of(receivers: &[SocketAddr]) -> String {
    let mut servers = String::new();
    for receiver in receivers {
        writeln!(servers, "    server {receiver} max_fails=3 fail_timeout=1s;").unwrap();
    }
    edit(&recommended(), "    server 127.0.0.1:3000 max_fails=3 fail_timeout=1s;\n", &servers)
}

impl Nginx {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(configuration: &str) -> Self {
        let program = find().unwrap_or_else(|| {
            panic!(
                "these tests need nginx, and found none in PATH or where packages put it. Install it: on Debian or \
                 Ubuntu `apt-get install nginx-light`"
            )
        });
        let folder = tempfile::tempdir().unwrap();
        let issued = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
        fs::write(folder.path().join("fullchain.pem"), issued.cert.pem()).unwrap();
        fs::write(folder.path().join("privkey.pem"), issued.signing_key.serialize_pem()).unwrap();
        let certificate = reqwest::Certificate::from_pem(issued.cert.pem().as_bytes()).unwrap();

        let reserved = Reserved::new();
        let address = reserved.address();
        let configuration = edit(configuration, "listen 443 ssl;", &format!("listen {address} ssl;"));
        // nginx looks for them in the folder of its configuration, which is this one.
        let configuration = edit(&configuration, "/etc/ssl/bank.example/fullchain.pem", "fullchain.pem");
        let configuration = edit(&configuration, "/etc/ssl/bank.example/privkey.pem", "privkey.pem");
        fs::write(folder.path().join("idnow-webhooks.conf"), configuration).unwrap();
        fs::write(folder.path().join("nginx.conf"), around(folder.path())).unwrap();

        let errors = fs::File::create(folder.path().join("stderr")).unwrap();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(program)
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .unwrap();
        let nginx = Self { address, certificate, keeper, folder, _reserved: reserved };
        nginx.wait("it to listen", || TcpStream::connect(address).is_ok());
        nginx
    }

    /// A client whose connections come from this address, each delivery by one of its own.
    pub(crate) fn client(&self, from: &str) -> reqwest::Client {
        reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([self.certificate.clone()])
            .local_address(from.parse::<IpAddr>().unwrap())
            .resolve(HOST, self.address)
            .pool_max_idle_per_host(0)
            .timeout(PATIENCE)
            .build()
            .unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.address.port())
    }

    /// As after a new certificate: new workers take over, and the old ones finish what they have begun.
    pub(crate) fn reload(&self) {
        let started = || self.log().matches("start worker process ").count();
        let before = started();
        let id = fs::read_to_string(self.folder.path().join("nginx.pid")).unwrap();
        assert!(Command::new("kill").args(["-HUP", id.trim()]).status().unwrap().success());
        self.wait("new workers", || started() > before);
    }

    /// What it wrote of errors and of its workers.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            let stderr = || fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
            assert!(Instant::now() < deadline, "nginx: waited for {what}: {}{}", stderr(), self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        self.keeper.wait().ok();
    }
}

/// What Debian's `/etc/nginx/nginx.conf` is around `conf.d`, with everything in one folder.
fn around(folder: &Path) -> String {
    // Its workers would otherwise be another user's, who may not look into the folder.
    let user = if fs::metadata(folder).unwrap().uid() == 0 { "user root;\n" } else { "" };
    let mut temporary = String::new();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(temporary, "    {kind}_temp_path {kind};").unwrap();
    }
    format!(
        "{user}daemon off;\nworker_processes 2;\npid nginx.pid;\nerror_log error.log notice;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n{temporary}    access_log access.log;\n    include idnow-webhooks.conf;\n}}\n"
    )
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let folders = folders.chain(["/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file())
}
