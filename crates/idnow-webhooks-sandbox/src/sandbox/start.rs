//! How a sandbox begins and ends.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Running, Sandbox};
use crate::builder::{Client, SandboxBuilder, Settings};
use crate::database::Database;
use crate::database::keys::{OwnClient, activate_new};
use crate::error::Error;
use crate::rules::retry::LONGEST_WAIT;
use crate::sender::{self, Sender};
use crate::sessions;
use crate::state::State;
use crate::{history, http};

impl SandboxBuilder {
    /// Starts it in the current Tokio runtime. It runs until [`Sandbox::stop`], or until the last handle is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the setting. [`Error::Unavailable`] says what is wrong with the file or the address.
    pub async fn start(self) -> Result<Sandbox, Error> {
        if Handle::try_current().is_err() {
            return Err(Error::unavailable("a sandbox must be started inside of a Tokio runtime"));
        }
        // Before anything is opened: what is wrong with the settings has nothing to do with the address.
        self.clone().check(self.listen)?;
        let (wanted, path) = (self.listen, self.database.clone());
        let cannot = |error| Error::unavailable_because(format!("cannot listen on {wanted}"), error);
        let listener = TcpListener::bind(wanted).await.map_err(cannot)?;
        let settings = self.check(listener.local_addr().map_err(cannot)?)?;
        let (database, writer) =
            Database::open(path, &settings.issuer, settings.scaled(LONGEST_WAIT)).await?;
        let stopping = CancellationToken::new();
        let writer = tokio::spawn(watched(writer, stopping.clone()));
        match begin(settings, database.clone(), listener, stopping.clone()).await {
            Ok((state, parts)) => {
                let ended = CancellationToken::new();
                tokio::spawn(end(parts, database, writer, stopping.clone(), ended.clone()));
                Ok(Sandbox { state, running: Some(Arc::new(Running { stopping, ended })) })
            }
            Err(error) => {
                stopping.cancel();
                database.close(writer).await;
                Err(error)
            }
        }
    }
}

/// What runs besides the database.
struct Parts {
    sender: Sender,
    tasks: TaskTracker,
}

async fn begin(
    mut settings: Settings,
    database: Database,
    listener: TcpListener,
    stopping: CancellationToken,
) -> Result<(State, Parts), Error> {
    if database.now_known().active_key().is_err() {
        activate_new(&database).await?;
    }
    if settings.clients.is_empty() {
        let (id, secret) = database.write(OwnClient).await?;
        settings.clients.push(Client::new(id, secret));
    }
    let client = sender::client(&settings)?;
    let state = State::new(settings, database, client, stopping);
    let server = http::serve(Sandbox { state: state.clone(), running: None }, listener)?;
    let sender = Sender::start(state.clone());
    let tasks = TaskTracker::new();
    tasks.spawn(sessions::expire(state.clone()));
    tasks.spawn(history::purge(state.clone()));
    tasks.spawn(server);
    tasks.close();
    Ok((state, Parts { sender, tasks }))
}

/// Without what writes, a sandbox can do nothing but stop.
async fn watched(writer: JoinHandle<()>, stopping: CancellationToken) {
    if let Err(error) = writer.await {
        tracing::error!(%error, "the task that writes to the database has broken down; the sandbox stops");
    }
    stopping.cancel();
}

/// Whatever writes ends before the database does.
async fn end(
    parts: Parts,
    database: Database,
    writer: JoinHandle<()>,
    stopping: CancellationToken,
    ended: CancellationToken,
) {
    stopping.cancelled().await;
    parts.sender.stopped().await;
    parts.tasks.wait().await;
    database.close(writer).await;
    ended.cancel();
}
