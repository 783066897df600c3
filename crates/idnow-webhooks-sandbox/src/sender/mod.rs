//! Sends what waits.
//!
//! Each endpoint has a lane: a task that takes what is due, up to the places that are free, and makes the attempts. Lanes
//! share the HTTP client and the database's writer, and nothing that one of them could keep from the others.

mod attempt;
mod body;
pub(crate) mod client;
pub(crate) mod echo;
mod forge;
mod guard;
mod hard;
mod hold;
mod lanes;
mod message;
mod names;
mod plain;
mod token;

use reqwest::Certificate;
use tokio::task::JoinHandle;

use crate::builder::Settings;
use crate::error::Error;
use crate::state::State;
use client::{Client, ClientOptions};
use guard::Guard;
use names::Names;

pub(crate) use message::{Message, Unsendable};
pub(crate) use token::{Claims, Data};

/// What requests are made with: one for all, as it holds the connections.
pub(crate) fn client(settings: &Settings) -> Result<Client, Error> {
    let roots = settings.root_certificates.iter().map(|der| Certificate::from_der(der));
    let extra_roots = roots.collect::<Result<_, _>>().map_err(|error| {
        Error::invalid("root_certificates_pem", format!("a certificate cannot be used: {error}"))
    })?;
    let client = Client::new(ClientOptions {
        guard: Guard::of(settings),
        deadline: settings.answer_deadline,
        extra_roots,
        names: Names::of_the_system(),
    });
    client.map_err(Error::unavailable)
}

/// The lanes of all endpoints.
#[derive(Debug)]
pub(crate) struct Sender(JoinHandle<()>);

impl Sender {
    /// Runs until [`State::stopping`].
    pub(crate) fn start(state: State) -> Self {
        Self(tokio::spawn(lanes::run(state)))
    }

    /// Waits, after [`State::stopping`], until nothing is sent any more. Attempts that are under way get a moment to
    /// end; what is cut off is attempted again when a sandbox is started on the database.
    pub(crate) async fn stopped(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the sender has broken down");
        }
    }
}
