use std::error::Error;
use std::fmt;

use axum::body::Body;
use axum::extract::{FromRef, FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyDataStream;
use idnow_webhooks_core::event::{Event, EventPayload};
use idnow_webhooks_core::{Head, Outcome, Receiver, Refusal, VerifiedDelivery};

/// An axum extractor: a verified delivery, for those who want a handler of their own.
///
/// `Verified<Event<P>>` gives the event with its payload read as `P`; `Verified<VerifiedDelivery>` gives any
/// event, together with its token. The [`Receiver`] comes from the router's state. Duplicates are not
/// recognised, and the answer is yours to give: a 2xx tells the provider that the event is safe.
///
/// ```
/// use axum::{Router, routing::post};
/// use idnow_webhooks_core::event::{Event, SessionCompleted};
/// use idnow_webhooks_tower::Verified;
///
/// async fn completed(Verified(event): Verified<Event<SessionCompleted>>) -> String {
///     event.payload.session_id.to_string()
/// }
///
/// # let receiver = idnow_webhooks_testkit::Provider::new().receiver().build()?;
/// let app: Router = Router::new().route("/webhooks/idnow", post(completed)).with_state(receiver);
/// # drop(app);
/// # Ok::<(), idnow_webhooks_core::ReceiverError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Verified<T>(pub T);

/// Why [`Verified`] gave no delivery. As a response it is the answer that the provider understands; its text is for your
/// own log, never part of an answer.
#[derive(Debug)]
pub struct VerifiedRejection(Refusal);

impl VerifiedRejection {
    /// What was refused, and why.
    ///
    /// ```
    /// use axum::response::{IntoResponse, Response};
    /// use idnow_webhooks_core::event::{Event, SessionCompleted};
    /// use idnow_webhooks_tower::{Verified, VerifiedRejection};
    ///
    /// type Completed = Verified<Event<SessionCompleted>>;
    ///
    /// async fn completed(delivery: Result<Completed, VerifiedRejection>) -> Response {
    ///     match delivery {
    ///         Ok(Verified(event)) => event.payload.session_id.to_string().into_response(),
    ///         Err(rejection) => {
    ///             println!("{}: {rejection}", rejection.refusal().code());
    ///             rejection.into_response()
    ///         }
    ///     }
    /// }
    /// # let receiver = idnow_webhooks_testkit::Provider::new().receiver().build()?;
    /// # let app: axum::Router = axum::Router::new().route("/", axum::routing::post(completed)).with_state(receiver);
    /// # drop(app);
    /// # Ok::<(), idnow_webhooks_core::ReceiverError>(())
    /// ```
    pub fn refusal(&self) -> &Refusal {
        &self.0
    }
}

impl From<Refusal> for VerifiedRejection {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl fmt::Display for VerifiedRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for VerifiedRejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl IntoResponse for VerifiedRejection {
    fn into_response(self) -> Response {
        Outcome::Refused(self.0).response().map(Body::from)
    }
}

impl<S> FromRequest<S> for Verified<VerifiedDelivery>
where
    S: Send + Sync,
    Receiver: FromRef<S>,
{
    type Rejection = VerifiedRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, VerifiedRejection> {
        let peer = crate::peer(&request);
        let (parts, body) = request.into_parts();
        let head = Head { method: &parts.method, headers: &parts.headers, peer };
        Ok(Self(Receiver::from_ref(state).verify(head, BodyDataStream::new(body)).await?))
    }
}

impl<S, P> FromRequest<S> for Verified<Event<P>>
where
    S: Send + Sync,
    Receiver: FromRef<S>,
    P: EventPayload,
{
    type Rejection = VerifiedRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, VerifiedRejection> {
        let peer = crate::peer(&request);
        let (parts, body) = request.into_parts();
        let head = Head { method: &parts.method, headers: &parts.headers, peer };
        Ok(Self(Receiver::from_ref(state).verify_as(head, BodyDataStream::new(body)).await?))
    }
}
