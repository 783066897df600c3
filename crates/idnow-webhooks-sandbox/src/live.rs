//! What has changed, as it changes, for pages and tests.

use serde::Serialize;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

/// How many changes a listener may be behind.
const BACKLOG: usize = 4096;

/// Something that has changed. It names what, and the listener asks for how it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
#[non_exhaustive]
pub enum Change {
    /// A flow was made or deleted.
    Flow {
        /// Which.
        id: Uuid,
    },
    /// An endpoint was made, changed or deleted.
    Endpoint {
        /// Which.
        id: Uuid,
    },
    /// A session was made or changed.
    Session {
        /// Which.
        id: Uuid,
    },
    /// A delivery was made, an attempt of it has begun or ended, or it was retriggered or ended.
    Delivery {
        /// Which.
        id: i64,
    },
    /// Many deliveries of an endpoint at once were retriggered, or ended.
    Deliveries {
        /// Of which endpoint; of several, if there is none.
        #[serde(rename = "endpointId")]
        endpoint_id: Option<Uuid>,
    },
    /// A key was made, or serves another purpose now.
    Key {
        /// Its `kid`.
        id: String,
    },
    /// The listener was too slow: it has missed some changes, and must look at everything anew.
    Missed,
}

/// The changes from now on.
#[derive(Debug)]
pub struct Changes {
    receiver: broadcast::Receiver<Change>,
    /// Handles of a sandbox that has stopped still keep the other end of the receiver.
    stopping: CancellationToken,
}

impl Changes {
    /// The next change; `None` when the sandbox stops, for all handles. Cancel safe: no change is lost.
    pub async fn next(&mut self) -> Option<Change> {
        let received = tokio::select! {
            biased;
            received = self.receiver.recv() => received,
            () = self.stopping.cancelled() => return None,
        };
        match received {
            Ok(change) => Some(change),
            Err(RecvError::Lagged(_)) => Some(Change::Missed),
            Err(RecvError::Closed) => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Broadcast(broadcast::Sender<Change>);

impl Default for Broadcast {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Broadcast {
    pub(crate) fn listen(&self, stopping: CancellationToken) -> Changes {
        Changes { receiver: self.0.subscribe(), stopping }
    }

    /// So that nobody builds what nobody reads.
    pub(crate) fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(crate) fn tell(&self, change: Change) {
        // Nobody has to listen.
        let _ = self.0.send(change);
    }
}
