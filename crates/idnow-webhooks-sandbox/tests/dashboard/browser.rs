//! A headless Chromium, by its driver, both started here and gone at the end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// How long a page may take to show what is expected of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Browser {
    pub(crate) client: Client,
    // Before the folder: dropped in this order.
    _driver: Driver,
    _profile: tempfile::TempDir,
}

/// The driver process. It is told to close the browser even when the test has failed.
struct Driver {
    process: Child,
    port: u16,
    session: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

impl Browser {
    pub(crate) async fn open() -> Self {
        idnow_webhooks_watch::watch();
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new(program(
            &["chromedriver"],
            "CHROMEWEBDRIVER",
            "chromedriver, on Debian: apt-get install chromium-driver",
        ))
        .arg("--port=0")
        // Or else the browser leaves a folder behind.
        .env("TMPDIR", profile.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
        let port = port_of(&mut process);
        let mut driver = Driver { process, port, session: String::new() };
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "binary": program(
                    &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"],
                    "CHROME_BIN",
                    "Chromium or Chrome, on Debian: apt-get install chromium",
                ),
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
                    "--disable-background-networking", "--disable-component-update", "--disable-sync",
                    "--disable-quic", "--hide-scrollbars", "--window-size=1280,800", "--lang=en-GB",
                    format!("--user-data-dir={}", profile.path().display()),
                ],
            },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        driver.session = client.session_id().await.unwrap().unwrap();
        let browser = Self { client, _driver: driver, _profile: profile };
        // The window's size has the frame in it, the screen's has not.
        let screen = json!({"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        browser.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        browser.use_scheme(Scheme::Light).await;
        browser
    }

    /// Asks for the light or the dark pages, as the system's setting does.
    pub(crate) async fn use_scheme(&self, scheme: Scheme) {
        let feature = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme.name()},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.devtools("Emulation.setEmulatedMedia", feature).await;
    }

    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.client.issue_cmd(Vendor { path: "goog/cdp/execute", body }).await.unwrap()
    }

    /// What the console has said since the last call.
    pub(crate) async fn console(&self) -> Vec<String> {
        let log = self.client.issue_cmd(Vendor { path: "se/log", body: json!({"type": "browser"}) }).await;
        log.unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                format!("{}: {}", entry["level"].as_str().unwrap(), entry["message"].as_str().unwrap())
            })
            .collect()
    }

    pub(crate) async fn go(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// The element, as soon as it is there.
    pub(crate) async fn find(&self, css: &str) -> Element {
        self.found(Locator::Css(css), css).await
    }

    /// The button or link that says so.
    pub(crate) async fn named(&self, text: &str) -> Element {
        let path = format!("//*[self::a or self::button][normalize-space()='{text}' and not(@hidden)]");
        self.found(Locator::XPath(&path), text).await
    }

    async fn found(&self, locator: Locator<'_>, what: &str) -> Element {
        match self.client.wait().at_most(PATIENCE).every(Duration::from_millis(20)).for_element(locator).await
        {
            Ok(element) => element,
            Err(error) => panic!("there is no {what:?}: {error}\n{}", self.text().await),
        }
    }

    pub(crate) async fn click(&self, text: &str) {
        self.named(text).await.click().await.unwrap();
    }

    /// Replaces what is in a field.
    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// All that can be read on the page.
    pub(crate) async fn text(&self) -> String {
        self.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a script returns true.
    pub(crate) async fn until(&self, what: &str, script: &str) {
        let began = Instant::now();
        loop {
            // While a page is replaced by the next one there is nothing to run a script in.
            let result = self.client.execute(script, Vec::new()).await;
            if matches!(result, Ok(Value::Bool(true))) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "not so: {what} ({result:?})\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the page says something.
    pub(crate) async fn says(&self, text: &str) {
        self.until(text, &format!("return document.body.innerText.includes({})", json!(text))).await;
    }

    pub(crate) async fn press(&self, key: Key) -> Result<(), CmdError> {
        let value = key.into();
        let keys = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value });
        self.client.perform_actions(keys).await
    }

    pub(crate) async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// Keeps a picture of the page, if somebody wants pictures.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(folder) = pictures() else { return };
        std::fs::create_dir_all(&folder).unwrap();
        for scheme in [Scheme::Light, Scheme::Dark] {
            self.use_scheme(scheme).await;
            let picture = self.client.screenshot().await.unwrap();
            std::fs::write(folder.join(format!("{name}-{}.png", scheme.name())), picture).unwrap();
        }
        self.use_scheme(Scheme::Light).await;
    }

    /// Keeps a picture of the page from its top to its end, as it looks now, if somebody wants pictures.
    pub(crate) async fn whole_picture(&self, name: &str) {
        let Some(folder) = pictures() else { return };
        std::fs::create_dir_all(&folder).unwrap();
        let taken = self.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
        let picture = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }
}

/// Where pictures are wanted.
pub(crate) fn pictures() -> Option<PathBuf> {
    std::env::var_os("SANDBOX_SCREENSHOTS").map(PathBuf::from)
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The driver then ends the browser with all its processes. Whatever fails here, the driver itself goes.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let head = format!("DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", self.session);
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.read(&mut [0; 64]);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The driver says on which port it listens.
fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let line =
        lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("started successfully on port")));
    // It would stop at a pipe that nobody reads.
    let port = line.unwrap().unwrap().trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    port
}

/// A program, from the folder or file that the variable names, or from the path.
fn program(names: &[&str], variable: &str, missing: &str) -> PathBuf {
    let set = std::env::var_os(variable).map(PathBuf::from);
    let in_set = set.iter().flat_map(|set| [vec![set.clone()], at(set, names)].concat());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).flat_map(|folder| at(&folder, names));
    in_set.chain(in_path).find(|path| path.is_file()).unwrap_or_else(|| panic!("install {missing}"))
}

fn at(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| folder.join(name)).collect()
}

/// A command that only the drivers of Chromium know.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
