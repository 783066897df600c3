//! The pictures of the README, which `scripts/pictures` asks for: the shots are taken here, and put together there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fantoccini::key::Key;
use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{
    DeliveryFilter, EndpointChange, NewEndpoint, NewFlow, NewSession, Outcome, PageRequest, Step,
};
use serde_json::json;
use uuid::Uuid;

use crate::browser::{Browser, PATIENCE, pictures};
use crate::receiver::Receiver;

const ENVIRONMENT: &str = "live";
/// How often the film has a new frame, if the machine is quick enough.
const FRAME: Duration = Duration::from_millis(200);
/// A frame that took longer is shown no longer than this: the film is of the dashboard, not of this machine.
const LONGEST_FRAME: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes pictures and checks nothing: scripts/pictures"]
async fn stills() {
    let folder = folder();
    let bank = Receiver::start_at(3000).await;
    let records = Receiver::start_at(3001).await;
    let audit = Receiver::start_at(3002).await;
    records.answer(503);
    audit.answer(400);
    let sandbox = Sandbox::builder().chaos("duplicate=1".parse().unwrap()).start().await.unwrap();
    let world = World::new(&sandbox).await;
    world.endpoint(bank.url.clone(), "Core banking", &[], Some("Authorization")).await;
    let ends = ["session.completed", "session.error"];
    let records = world.endpoint(records.at("/hooks/crm"), "Customer records, down now", &ends, None).await;
    let aborted = ["session.aborted"];
    world.endpoint(audit.at("/audit"), "Refuses everything", &aborted, Some("X-Auth-Token")).await;
    let next = world.endpoint(bank.at("/webhooks/next"), "The next version", &[], None).await;
    let off: EndpointChange = serde_json::from_value(json!({"enabled": false})).unwrap();
    sandbox.change_endpoint(next, off).await.unwrap();

    let accepted = Step::Complete { outcome: Outcome::Accepted };
    let rejected = Step::Complete { outcome: Outcome::Rejected };
    for end in [accepted, Step::Expire, rejected, accepted, accepted, Step::Error, Step::Abort, accepted] {
        let session = world.session().await;
        tokio::time::sleep(Duration::from_millis(900)).await;
        if end != Step::Expire {
            sandbox.drive(session, Step::Start).await.unwrap();
        }
        sandbox.drive(session, end).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1400)).await;
    }
    world.session().await;

    let browser = Browser::open().await;
    let still = async |name: &str, page: &str, height: u32, open: &str| {
        frame(&browser, height).await;
        browser.go(&format!("{}{page}", sandbox.base_url())).await;
        let live = "return !document.body.dataset.follow || document.querySelector('#link[data-state=live]') !== null";
        browser.until("what changes is followed", live).await;
        if !open.is_empty() {
            browser.find(open).await.click().await.unwrap();
        }
        shoot(&browser, &folder.join(format!("sandbox-{name}.png"))).await;
    };
    still("deliveries", "/deliveries", 738, "").await;
    still("webhooks", &format!("/flows/{}", world.flow), 790, "").await;
    let mut to_records = DeliveryFilter::default();
    to_records.endpoint_id = Some(records);
    let oldest = sandbox.deliveries(to_records, PageRequest::default()).await.unwrap().items.pop().unwrap();
    let token = format!("#token-{} summary", oldest.last_answered.unwrap().number);
    still("delivery", &format!("/deliveries/{}", oldest.id), 900, &token).await;
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes pictures and checks nothing: scripts/pictures"]
async fn film() {
    let folder = folder();
    let bank = Receiver::start_at(3000).await;
    let records = Receiver::start_at(3001).await;
    // Half a second, one and two until the retries are used up.
    let sandbox = Sandbox::builder().time_scale(2.0).max_retries(3).start().await.unwrap();
    let world = World::new(&sandbox).await;
    world.endpoint(bank.url.clone(), "Core banking", &[], None).await;
    world.endpoint(records.at("/hooks/crm"), "Customer records", &["session.completed"], None).await;
    let accepted = Step::Complete { outcome: Outcome::Accepted };

    let browser = Browser::open().await;
    frame(&browser, 660).await;
    browser.go(sandbox.base_url()).await;
    browser.find("#link[data-state=live]").await;
    let mut film = Film { browser, folder, frames: 0 };
    film.hold(1500).await;

    let session = world.session().await;
    film.until("return document.querySelectorAll('tbody .badge.good').length === 1").await;
    film.hold(600).await;
    sandbox.drive(session, Step::Start).await.unwrap();
    sandbox.drive(session, accepted).await.unwrap();
    film.until("return document.querySelectorAll('tbody .badge.good').length === 3").await;
    film.hold(1500).await;

    records.answer(503);
    let session = world.session().await;
    film.until("return document.querySelectorAll('tbody .badge.good').length === 4").await;
    sandbox.drive(session, Step::Start).await.unwrap();
    sandbox.drive(session, accepted).await.unwrap();
    film.until("return document.querySelectorAll('tbody .badge.bad').length === 1").await;
    film.hold(2000).await;

    film.enter("tbody tr:has(.badge.bad) th a").await;
    film.browser.find("h1 + .badge.bad").await;
    film.hold(3000).await;
    records.answer(200);
    film.enter("form[action$=retrigger] button").await;
    film.until("return document.querySelector('h1 + .badge.good') !== null").await;
    film.hold(3000).await;
    film.enter("nav a[href='/']").await;
    film.browser.find(".tiles").await;
    film.hold(4000).await;
    sandbox.stop().await;
}

/// A flow, and what is added to it.
struct World<'a> {
    sandbox: &'a Sandbox,
    flow: Uuid,
}

impl<'a> World<'a> {
    async fn new(sandbox: &'a Sandbox) -> Self {
        let flow = sandbox.create_flow(NewFlow::new("Account opening")).await.unwrap().id;
        Self { sandbox, flow }
    }

    async fn endpoint(&self, url: String, description: &str, kinds: &[&str], header: Option<&str>) -> Uuid {
        let mut new = NewEndpoint::new(self.flow, ENVIRONMENT, url);
        new.description = description.to_owned();
        new.events = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let headers = header.map_or(json!([]), |name| json!([{"name": name, "value": "a-secret"}]));
        new.headers = serde_json::from_value(headers).unwrap();
        self.sandbox.create_endpoint(new).await.unwrap().id
    }

    async fn session(&self) -> Uuid {
        self.sandbox.create_session(NewSession::new(self.flow, ENVIRONMENT)).await.unwrap().id
    }
}

/// Shots one after the other. Each has its place in its name, and how many milliseconds it is shown.
struct Film {
    browser: Browser,
    folder: PathBuf,
    frames: u32,
}

impl Film {
    /// Films until a script returns true.
    async fn until(&mut self, script: &str) {
        let began = Instant::now();
        loop {
            let frame = Instant::now();
            let shot = self.folder.join("frame.png");
            shoot(&self.browser, &shot).await;
            let done = self.browser.run(script).await == true;
            tokio::time::sleep(FRAME.saturating_sub(frame.elapsed())).await;
            std::fs::rename(shot, self.next(frame.elapsed().min(LONGEST_FRAME))).unwrap();
            if done {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "not so: {script}\n{}", self.browser.text().await);
        }
    }

    /// Stays with what is to be seen, in the film alone.
    async fn hold(&mut self, milliseconds: u64) {
        let shot = self.next(Duration::from_millis(milliseconds));
        shoot(&self.browser, &shot).await;
    }

    /// Shows that a link or button has the focus, and presses it.
    async fn enter(&mut self, css: &str) {
        // Browsers show the focus to those who have used the keyboard.
        self.browser.press(Key::Tab).await.unwrap();
        self.browser.run(&format!("document.querySelector({}).focus()", json!(css))).await;
        self.hold(900).await;
        self.browser.press(Key::Enter).await.unwrap();
    }

    fn next(&mut self, shown: Duration) -> PathBuf {
        self.frames += 1;
        self.folder.join(format!("film-{:04}-{}.png", self.frames, shown.as_millis()))
    }
}

/// Two dots to a pixel of the page, in a width at which its text can still be read where a README is shown.
async fn frame(browser: &Browser, height: u32) {
    let screen = json!({"width": 1200, "height": height, "deviceScaleFactor": 2, "mobile": false});
    browser.devtools("Emulation.setDeviceMetricsOverride", screen).await;
}

async fn shoot(browser: &Browser, file: &Path) {
    std::fs::write(file, browser.client.screenshot().await.unwrap()).unwrap();
}

fn folder() -> PathBuf {
    let Some(folder) = pictures() else { panic!("SANDBOX_SCREENSHOTS is not set: use scripts/pictures") };
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
