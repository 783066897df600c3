//! The handle of a running sandbox.

mod chaos;
mod deliveries;
mod endpoints;
mod keys;
mod pages;
mod sessions;
mod start;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::builder::{Client, SandboxBuilder};
use crate::database::Database;
use crate::error::Error;
use crate::live::Changes;
use crate::model::{Counts, DeliveryCounts, DeliveryState, SessionCounts, SessionStatus};
use crate::state::State;

/// A running sandbox. Clones are handles of the same one; it stops when the last one is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idnow_webhooks_sandbox::Error> {
/// use idnow_webhooks_sandbox::Sandbox;
///
/// let sandbox = Sandbox::start().await?;
/// println!("keys: {}", sandbox.jwks_url());
/// # sandbox.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Sandbox {
    state: State,
    /// None in the sandbox's own tasks, which must not keep it running.
    running: Option<Arc<Running>>,
}

/// Stops the sandbox when it is dropped.
#[derive(Debug)]
struct Running {
    stopping: CancellationToken,
    /// Ends when everything has ended.
    ended: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl Sandbox {
    /// Starts one with the defaults: in memory, on a free port of 127.0.0.1.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// The settings of a sandbox that is to be started.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }

    /// Stops it, for all handles: nothing more is sent, and everything is in the database when this returns. Attempts
    /// that are under way get a moment to end. Calls that came before are finished, those that come after are refused with
    /// [`Error::Unavailable`]. If the caller goes away meanwhile, it stops all the same.
    pub async fn stop(self) {
        if let Some(running) = &self.running {
            running.stopping.cancel();
            running.ended.cancelled().await;
        }
    }

    /// Waits until it has stopped.
    pub async fn stopped(&self) {
        if let Some(running) = &self.running {
            running.ended.cancelled().await;
        }
    }

    pub(crate) fn database(&self) -> &Database {
        self.state.database()
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The address it listens on, with the port that it was given where it asked for any.
    pub fn local_addr(&self) -> SocketAddr {
        self.state.settings().listen
    }

    /// Where the sandbox is reached, without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.state.settings().base_url
    }

    /// The `iss` of the tokens.
    pub fn issuer(&self) -> &str {
        &self.state.settings().issuer
    }

    /// Where the keys are published.
    pub fn jwks_url(&self) -> &str {
        &self.state.settings().jwks_url
    }

    /// Who may use the session API: at least one.
    pub fn clients(&self) -> &[Client] {
        &self.state.settings().clients
    }

    /// Everything that changes from now on.
    pub fn changes(&self) -> Changes {
        self.database().shared.live.listen(self.state.stopping().clone())
    }

    /// How much there is of everything.
    ///
    /// # Errors
    ///
    /// None yet.
    #[expect(clippy::unused_async, reason = "calls are alike, wherever they find the answer")]
    pub async fn counts(&self) -> Result<Counts, Error> {
        let (known, tally) = (self.database().now_known(), self.database().tally());
        let sessions = |status| tally.session_count(status);
        let deliveries = |state| tally.delivery_count(state);
        Ok(Counts {
            flows: u64::try_from(known.flows.len()).unwrap_or(u64::MAX),
            endpoints: u64::try_from(known.endpoints.len()).unwrap_or(u64::MAX),
            sessions: SessionCounts {
                created: sessions(SessionStatus::Created),
                running: sessions(SessionStatus::Running),
                completed: sessions(SessionStatus::Completed),
                aborted: sessions(SessionStatus::Aborted),
                expired: sessions(SessionStatus::Expired),
                error: sessions(SessionStatus::Error),
            },
            deliveries: DeliveryCounts {
                waiting: deliveries(DeliveryState::Waiting),
                sending: deliveries(DeliveryState::Sending),
                delivered: deliveries(DeliveryState::Delivered),
                dead: deliveries(DeliveryState::Dead),
                endpoint_deleted: deliveries(DeliveryState::EndpointDeleted),
            },
            forgeries_accepted: self.state.chaos().forgeries_accepted(),
        })
    }
}

#[cfg(test)]
mod tests;
