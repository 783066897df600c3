use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Stands in front of a server, and takes it away: connections are refused, or nothing comes through. Or it is a cache that
/// has held the answers for some time.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    target: SocketAddr,
    /// It never listens, and keeps the port while nothing else does: connections to it are refused.
    _reserved: TcpSocket,
    held: watch::Sender<bool>,
    /// In seconds.
    age: watch::Sender<Option<u32>>,
    accept: Option<JoinHandle<()>>,
}

impl Relay {
    /// In front of the server at this address.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let reserved = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = reserved.local_addr().unwrap();
        let held = watch::Sender::new(false);
        let age = watch::Sender::new(None);
        let mut relay = Self { address, target, _reserved: reserved, held, age, accept: None };
        relay.up();
        relay
    }

    /// Ends all connections; new ones are refused.
    pub(crate) async fn down(&mut self) {
        if let Some(accept) = self.accept.take() {
            accept.abort();
            assert!(accept.await.unwrap_err().is_cancelled());
        }
    }

    /// Keeps back what clients send, until it is let go.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Says of answers over HTTP/1.1 that they are so many seconds old.
    pub(crate) fn age(&self, seconds: Option<u32>) {
        self.age.send_replace(seconds);
    }

    /// Takes connections again.
    pub(crate) fn up(&mut self) {
        let listener = socket(self.address).listen(128).unwrap();
        let (target, held, age) = (self.target, self.held.subscribe(), self.age.subscribe());
        self.accept = Some(tokio::spawn(async move {
            // They end with this task.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connection(client, target, held.clone(), age.clone()));
            }
        }));
    }
}

async fn connection(
    client: TcpStream,
    target: SocketAddr,
    mut held: watch::Receiver<bool>,
    age: watch::Receiver<Option<u32>>,
) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let (mut requests, mut answers) = client.into_split();
    let (mut from, mut to) = server.split();
    let pass_on = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = requests.read(&mut buffer).await {
            if held.wait_for(|held| !held).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    let pass_back = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let mut answer = buffer[..read].to_vec();
            let age = *age.borrow();
            // An answer begins a piece of its own here: the client asks for nothing before it has the last one.
            if let (Some(seconds), true) = (age, answer.starts_with(b"HTTP/1.1 ")) {
                let first_line = answer.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                answer.splice(first_line..first_line, format!("age: {seconds}\r\n").into_bytes());
            }
            if answers.write_all(&answer).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = pass_on => {}
        () = pass_back => {}
    }
}

/// One of several sockets at an address.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}
