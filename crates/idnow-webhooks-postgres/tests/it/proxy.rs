//! Stands between a store and its server, and makes trouble.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::database;

/// Stands between the store and the shared server.
pub(crate) struct Proxy {
    pub(crate) url: String,
    /// The same database, without the proxy.
    pub(crate) server: String,
    /// It passes nothing on any more, by connections that are there or new.
    pub(crate) hangs: watch::Sender<bool>,
    /// It passes each request on only after so many milliseconds.
    pub(crate) delay: Arc<AtomicU64>,
    accept: JoinHandle<()>,
}

impl Proxy {
    /// Before a fresh database.
    pub(crate) async fn start() -> Self {
        let url = database().await;
        let (before, name) = url.rsplit_once('/').unwrap();
        let (user, server) = before.rsplit_once('@').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (hangs, hanging) = watch::channel(false);
        let delay = Arc::new(AtomicU64::new(0));
        let accept = tokio::spawn(accept(listener, server.to_owned(), hanging, Arc::clone(&delay)));
        Self { url: format!("{user}@127.0.0.1:{port}/{name}"), server: url.clone(), hangs, delay, accept }
    }

    /// Takes no new connections.
    pub(crate) async fn close(&mut self) {
        self.accept.abort();
        assert!((&mut self.accept).await.unwrap_err().is_cancelled());
    }
}

async fn accept(
    listener: TcpListener,
    server: String,
    hanging: watch::Receiver<bool>,
    delay: Arc<AtomicU64>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, mut hanging, delay) = (server.clone(), hanging.clone(), Arc::clone(&delay));
        tokio::spawn(async move {
            let mut server = TcpStream::connect(server).await.unwrap();
            let (mut requests, mut answers) = client.into_split();
            let (mut from, mut to) = server.split();
            tokio::select! {
                biased;
                // For good: nobody will ever answer on this one.
                () = async { drop(hanging.wait_for(|hangs| *hangs).await) } => std::future::pending().await,
                () = pass_on(&mut requests, &mut to, &delay) => {}
                _ = tokio::io::copy(&mut from, &mut answers) => {}
            }
        });
    }
}

async fn pass_on(from: &mut OwnedReadHalf, to: &mut WriteHalf<'_>, delay: &AtomicU64) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        tokio::time::sleep(Duration::from_millis(delay.load(Ordering::SeqCst))).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
