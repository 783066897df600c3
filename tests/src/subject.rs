use idnow_webhooks_core::Receiver;

use crate::client::Client;
use crate::servers::{self, Running};

/// Where every subject mounts the receiver.
pub const PATH: &str = "/webhooks/idnow";
/// A route of the application beside it. `GET` answers `healthy` with the header `x-app`; `POST` streams the body
/// back, and says in `x-seen` how many header lines named `x-mark` arrived.
pub const HEALTH: &str = "/health";

/// What is tested: an adapter, and a way to mount it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// axum, with `WebhookLayer` around the application.
    AxumLayer,
    /// axum, with `WebhookService` on a route.
    AxumRoute,
    /// actix-web, with the middleware around the application.
    ActixApp,
    /// actix-web, with the middleware around a scope.
    ActixScope,
    /// warp, with the filter in an `or` chain.
    Warp,
    /// hyper without a framework, with `WebhookService`.
    Hyper,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::AxumLayer, Self::AxumRoute, Self::ActixApp, Self::ActixScope, Self::Warp, Self::Hyper];

    /// Whether the server below is actix-web's, and not hyper.
    pub fn is_actix(self) -> bool {
        matches!(self, Self::ActixApp | Self::ActixScope)
    }

    /// Serves this receiver on a free port.
    pub fn start(self, receiver: Receiver) -> Running {
        servers::start(self, receiver)
    }
}

/// The version of HTTP that the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http1, Self::Http2];
}

/// What a case is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// What is tested.
    pub subject: Subject,
    /// How it is spoken to.
    pub protocol: Protocol,
}

impl Target {
    /// Serves this receiver.
    pub fn start(self, receiver: Receiver) -> Running {
        self.subject.start(receiver)
    }

    /// Opens a connection to a server.
    pub async fn connect(self, server: &Running) -> Client {
        Client::connect(server.address(), self.protocol).await
    }
}
