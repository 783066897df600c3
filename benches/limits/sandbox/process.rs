//! A sandbox in a process of its own, seen from both sides.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use idnow_webhooks_sandbox::Sandbox;
use idnow_webhooks_sandbox::model::{NewEndpoint, NewFlow, PageRequest, Scenario, ScenarioKind};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::http::affinity::bind;

const ENVIRONMENT: &str = "live";
/// About as much as what stands before the signature of a token.
const SIGNED_BYTES: usize = 900;
/// Sessions of one call, which the sandbox bounds.
const MOST_SESSIONS: usize = 5000;

pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// `file` is its database, `concurrency` that of its endpoint, `processor` the only one that it may run on.
    pub fn start(file: &Path, sink: &str, concurrency: u16, processor: Option<usize>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("send")
            .arg(file)
            .args([sink, &concurrency.to_string()])
            .args(processor.map(|processor| processor.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut process = Self { child, input, output };
        assert_eq!(process.answer(), "ready");
        process
    }

    /// Waits until it has done that.
    pub fn ask(&mut self, what: &str, many: usize) -> String {
        writeln!(self.input, "{what} {many}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Of all threads, since the start.
    pub fn cpu_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = tasks.map(|task| {
            let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
            text.split(' ').next().unwrap().parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Bytes.
    pub fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
    }

    pub fn end(mut self) {
        drop(self.input);
        assert!(self.child.wait().unwrap().success());
    }
}

/// Makes everything that waits in a file wait that much longer, as a retry would: nobody could wait until so many have
/// come so far by themselves.
pub fn put_off(file: &Path, time: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut database = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
        let micros = i64::try_from(time.as_micros()).unwrap();
        sqlx::query("UPDATE deliveries SET state = 0, started_at = NULL, next_at = created_at + ? WHERE state IN (0, 1)")
            .bind(micros)
            .execute(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
    });
}

/// `arguments` are the file, the URL of the sink, the limit of its endpoint, and the processor to run on if not any.
///
/// Says when it is ready, does what it reads, line by line, and ends with its input.
pub fn send(arguments: &[&str]) {
    let &[file, sink, concurrency, ref processor @ ..] = arguments else { panic!("what is to be sent?") };
    if let Some(processor) = processor.first() {
        bind(processor.parse().unwrap());
    }
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            ask.send(line.unwrap()).unwrap();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let deadline = Duration::from_mins(10);
        let sandbox = Sandbox::builder().database(file).answer_deadline(deadline).start().await.unwrap();
        let flow = flow(&sandbox, sink, concurrency.parse().unwrap()).await;
        println!("ready");
        while let Some(line) = asked.recv().await {
            let (what, many) = line.split_once(' ').unwrap();
            let many = many.parse().unwrap();
            match what {
                "make" => make(&sandbox, flow, many).await,
                "endpoints" => endpoints(&sandbox, flow, many, sink).await,
                "delivered" => println!("{}", delivered(&sandbox, many).await),
                "waiting" => println!("{}", sandbox.counts().await.unwrap().deliveries.waiting),
                "sign" => println!("{}", sign(many)),
                _ => panic!("no such thing: {what}"),
            }
        }
        sandbox.stop().await;
    });
}

async fn flow(sandbox: &Sandbox, sink: &str, concurrency: u16) -> Uuid {
    if let Some(flow) = sandbox.flows(PageRequest::default()).await.unwrap().items.first() {
        return flow.id;
    }
    let flow = NewFlow { name: "flow".into(), session_ttl_seconds: 7_000_000 };
    let flow = sandbox.create_flow(flow).await.unwrap().id;
    let endpoint = NewEndpoint { concurrency, ..NewEndpoint::new(flow, ENVIRONMENT, sink) };
    sandbox.create_endpoint(endpoint).await.unwrap();
    flow
}

/// So many deliveries: two of each session.
async fn make(sandbox: &Sandbox, flow: Uuid, many: usize) {
    let mut left = many.div_ceil(2);
    while left > 0 {
        let sessions = left.min(MOST_SESSIONS);
        let mut scenario = Scenario::new(ScenarioKind::HappyPath, flow, ENVIRONMENT);
        scenario.sessions = Some(u32::try_from(sessions).unwrap());
        sandbox.play(scenario).await.unwrap();
        left -= sessions;
    }
    println!("made");
}

async fn endpoints(sandbox: &Sandbox, flow: Uuid, many: usize, sink: &str) {
    for _ in 0..many {
        sandbox.create_endpoint(NewEndpoint::new(flow, "idle", sink)).await.unwrap();
    }
    println!("made");
}

/// Waits until so many are, and tells how many there are.
async fn delivered(sandbox: &Sandbox, many: usize) -> u64 {
    let started = Instant::now();
    loop {
        let delivered = sandbox.counts().await.unwrap().deliveries.delivered;
        if delivered >= many as u64 || started.elapsed() > Duration::from_secs(30) {
            return delivered;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Microseconds for each signature.
#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn sign(many: usize) -> f64 {
    thread_local! {
        static KEY: RsaKeyPair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    }
    KEY.with(|key| {
        let (message, random) = (vec![b'a'; SIGNED_BYTES], SystemRandom::new());
        let mut signature = vec![0; key.public_modulus_len()];
        let started = Instant::now();
        for _ in 0..many {
            key.sign(&RSA_PKCS1_SHA256, &random, &message, &mut signature).unwrap();
        }
        started.elapsed().as_secs_f64() * 1e6 / many as f64
    })
}
