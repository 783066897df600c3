//! Who may use the management API and the pages.
//!
//! On a loopback address that is everybody on this machine, unless there is a token. What has to be kept out then are pages
//! of other sites in a browser on this machine: they could send requests that change something without reading the answers
//! (hence `Origin` and `Sec-Fetch-Site`), or have their own name resolve to this machine, so that the browser takes the
//! sandbox for a part of their site (hence `Host`). Where others reach the sandbox, a token is needed, too.

mod cookie;
mod host;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, Uri};

use self::cookie::Cookie;
use self::host::Place;
use self::throttle::Throttle;
use super::authorization::bearer;
use super::problem::{Code, Problem};
use super::server::peer;
use crate::builder::Settings;
use crate::error::Error;
use crate::secret::{Secret, same};

/// Decides which requests reach the management API and the pages.
#[derive(Debug)]
pub(crate) struct Guard {
    place: Place,
    token: Option<Secret>,
    cookie: Cookie,
    throttle: Throttle,
}

/// Why somebody is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not the token.
    WrongToken,
    /// There were too many wrong ones: this one was not looked at.
    TooOften {
        /// For how long none will be.
        wait: Duration,
    },
}

impl Guard {
    /// If the sandbox can be reached from outside and has no token, nobody gets in.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            place: Place::new(settings.listen, settings.base.as_ref()),
            token: settings.access_token.clone(),
            cookie: Cookie::new(&settings.base_url)?,
            throttle: Throttle::default(),
        })
    }

    /// Whether it is this sandbox that the request is for, and not a page of another site that sends it.
    pub(crate) fn check_site(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        self.place.check_host(uri, headers)?;
        if method.is_safe() { Ok(()) } else { self.place.check_origin(headers) }
    }

    /// Whether a request has the token, or the cookie of somebody who has signed in with it on the pages.
    pub(crate) fn admits(&self, client: IpAddr, headers: &HeaderMap) -> Result<(), Problem> {
        let unauthorized = || {
            Problem::new(
                Code::Unauthorized,
                "send the access token that the sandbox was started with, as `Authorization: Bearer <token>`",
            )
        };
        let Some(token) = &self.token else {
            return if self.place.is_local() { Ok(()) } else { Err(unauthorized()) };
        };
        if self.cookie.is_in(headers) {
            return Ok(());
        }
        let given = bearer(headers).ok_or_else(unauthorized)?;
        self.compare(token, client, given.as_bytes()).map_err(|refusal| match refusal {
            Refusal::WrongToken => unauthorized(),
            Refusal::TooOften { wait } => Problem::new(
                Code::TooManyAttempts,
                "there were too many wrong access tokens from this address: until the time in `Retry-After` has passed, \
                 none is looked at",
            )
            .retry_after(wait),
        })
    }

    /// Whether one has to sign in.
    pub(crate) fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    /// The cookie for somebody who signs in with this.
    pub(crate) fn sign_in(
        &self,
        client: IpAddr,
        headers: &HeaderMap,
        given: &str,
    ) -> Result<Option<HeaderValue>, Refusal> {
        match &self.token {
            None => Ok(None),
            Some(token) => {
                self.compare(token, client, given.as_bytes())?;
                Ok(self.cookie.set(self.place.is_by_tls(headers)))
            }
        }
    }

    /// What removes the cookie.
    pub(crate) fn sign_out(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.token.as_ref()?;
        self.cookie.removed(self.place.is_by_tls(headers))
    }

    fn compare(&self, token: &Secret, client: IpAddr, given: &[u8]) -> Result<(), Refusal> {
        let now = Instant::now();
        self.throttle.check(client, now).map_err(|wait| Refusal::TooOften { wait })?;
        if same(token.expose().as_bytes(), given).into() {
            return Ok(());
        }
        self.throttle.wrong(client, given, now);
        Err(Refusal::WrongToken)
    }
}

/// As a middleware.
pub(crate) async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let checked = guard
        .check_site(request.method(), request.uri(), request.headers())
        .and_then(|()| Place::check_reader(request.headers()))
        .and_then(|()| guard.admits(peer(request.extensions()), request.headers()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests;
