//! A server that answers 200 to everything, when its gate is open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// It runs in a thread of its own.
pub struct Sink {
    address: SocketAddr,
    gate: watch::Sender<bool>,
    answered: Arc<AtomicUsize>,
    /// Tells each time that so many were answered.
    reached: std::sync::mpsc::Receiver<Instant>,
    goals: mpsc::UnboundedSender<usize>,
}

struct Counter {
    answered: Arc<AtomicUsize>,
    goal: AtomicUsize,
    reached: std::sync::mpsc::Sender<Instant>,
}

impl Sink {
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (gate, open) = watch::channel(true);
        let (tell, reached) = std::sync::mpsc::channel();
        let (goals, mut next_goal) = mpsc::unbounded_channel();
        let answered = Arc::new(AtomicUsize::new(0));
        let counter = Arc::new(Counter {
            answered: Arc::clone(&answered),
            goal: AtomicUsize::new(usize::MAX),
            reached: tell,
        });
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    tokio::select! {
                        biased;
                        goal = next_goal.recv() => match goal {
                            Some(goal) => counter.goal.store(goal, Ordering::SeqCst),
                            None => return,
                        },
                        Ok((stream, _)) = listener.accept() => {
                            tokio::spawn(serve(stream, open.clone(), Arc::clone(&counter)));
                        }
                    }
                }
            });
        });
        Self { address, gate, answered, reached, goals }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// From now on everybody waits for an answer.
    pub fn close(&self) {
        self.gate.send_replace(false);
    }

    /// Answers so many, and tells how long that took.
    pub fn open(&self, many: usize) -> Duration {
        self.goals.send(self.answered.load(Ordering::SeqCst) + many).unwrap();
        // The goal has to be seen before the gate is.
        std::thread::sleep(Duration::from_millis(20));
        let started = Instant::now();
        self.gate.send_replace(true);
        self.reached.recv().unwrap() - started
    }
}

async fn serve(mut stream: TcpStream, mut gate: watch::Receiver<bool>, counter: Arc<Counter>) {
    stream.set_nodelay(true).unwrap();
    let mut request = Vec::with_capacity(8192);
    loop {
        request.clear();
        while !is_whole(&request) {
            // The sandbox closes its connections when it likes.
            if !matches!(stream.read_buf(&mut request).await, Ok(1..)) {
                return;
            }
        }
        if gate.wait_for(|open| *open).await.is_err() || stream.write_all(ANSWER).await.is_err() {
            return;
        }
        let answered = counter.answered.fetch_add(1, Ordering::SeqCst) + 1;
        if answered == counter.goal.load(Ordering::SeqCst) {
            counter.reached.send(Instant::now()).unwrap();
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let (head, body) = request.split_at(end + 4);
    let head = std::str::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    body.len() >= length.parse::<usize>().unwrap()
}
