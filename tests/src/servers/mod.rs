//! Each subject as a real server, mounted as its documentation shows, in a thread of its own.

mod actix;
mod axum;
mod hyper;
mod warp;

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use idnow_webhooks_core::Receiver;
use tokio::sync::oneshot;

use crate::subject::Subject;

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        // A second panic would abort the process and hide the first.
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the server's thread panicked");
    }
}

/// Ends when the server is to stop.
type Stop = oneshot::Receiver<()>;

pub(crate) fn start(subject: Subject, receiver: Receiver) -> Running {
    crate::watch::watch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::spawn(move || match subject {
        Subject::AxumLayer => {
            on_tokio(stopped, axum::serve(listener, axum::layered(receiver)));
        }
        Subject::AxumRoute => {
            on_tokio(stopped, axum::serve(listener, axum::routed(receiver)));
        }
        Subject::ActixApp => actix::serve(listener, stopped, receiver, actix::Mount::App),
        Subject::ActixScope => actix::serve(listener, stopped, receiver, actix::Mount::Scope),
        Subject::Warp => on_tokio(stopped, warp::serve(listener, receiver)),
        Subject::Hyper => on_tokio(stopped, hyper::serve(listener, receiver)),
    });
    Running { address, stop: Some(stop), thread: Some(thread) }
}

/// Dropping the runtime ends all connections with it.
fn on_tokio(stopped: Stop, server: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(
        async {
            tokio::select! {
                () = server => panic!("the server ended by itself"),
                _ = stopped => {}
            }
        },
    );
}
