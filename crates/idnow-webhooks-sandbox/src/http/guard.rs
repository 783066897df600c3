//! Who may use the management API.
//!
//! On a loopback address that is everybody on this machine. What has to be kept out then are pages of other
//! sites in a browser on this machine: they could send requests that change something without reading the
//! answers (hence `Origin` and `Sec-Fetch-Site`), or have their own name resolve to this machine, so that the
//! browser takes the sandbox for a part of their site (hence `Host`). Elsewhere a token is needed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Method, Uri};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::authorization::bearer;
use super::problem::{Code, Problem};
use crate::pages::cookie_admits;
use crate::secret::Secret;

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Decides which requests reach the management API.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Requests must name a loopback address and this port.
    loopback_port: Option<u16>,
    token: Option<Secret>,
}

impl Guard {
    /// For a server that listens at `listen`. If it can be reached from outside and has no token, nobody gets in.
    pub(crate) fn new(listen: SocketAddr, token: Option<&Secret>) -> Self {
        let loopback = listen.ip().to_canonical().is_loopback();
        Self { loopback_port: loopback.then_some(listen.port()), token: token.cloned() }
    }

    fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        self.check_host(uri, headers)?;
        if !self.admits(headers) {
            return Err(Problem::new(
                Code::Unauthorized,
                "send the access token that the sandbox was started with, as `Authorization: Bearer <token>`",
            ));
        }
        if method.is_safe() { Ok(()) } else { same_origin(headers) }
    }

    /// For the pages, which ask for the token themselves.
    pub(crate) fn check_site(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        self.check_host(uri, headers)?;
        if method.is_safe() { Ok(()) } else { same_origin(headers) }
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        self.loopback_port.map_or(Ok(()), |port| names_this_machine(uri, headers, port))
    }

    /// Whether a request has the token, or the cookie of somebody who has signed in with it on the pages.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        match &self.token {
            Some(token) => {
                bearer(headers).is_some_and(|given| given.as_bytes().ct_eq(token.expose().as_bytes()).into())
                    || cookie_admits(headers, token)
            }
            None => self.loopback_port.is_some(),
        }
    }
}

/// As a middleware.
pub(crate) async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn names_this_machine(uri: &Uri, headers: &HeaderMap, port: u16) -> Result<(), Problem> {
    let mut named = headers.get_all(HOST).iter().map(|value| Authority::try_from(value.as_bytes()).ok());
    let (Some(Some(host)), None) = (named.next(), named.next()) else {
        return Err(Problem::new(Code::HostNotAllowed, "exactly one readable `Host` header is needed"));
    };
    // A request may name its host in the first line, too.
    for authority in uri.authority().into_iter().chain([&host]) {
        if !is_loopback(authority, port) {
            return Err(Problem::new(
                Code::HostNotAllowed,
                format!(
                    "the sandbox listens on a loopback address, so `Host` must be localhost:{port}, \
                     127.0.0.1:{port} or [::1]:{port}"
                ),
            ));
        }
    }
    Ok(())
}

fn is_loopback(authority: &Authority, port: u16) -> bool {
    if authority.as_str().contains('@') || authority.port_u16().unwrap_or(80) != port {
        return false;
    }
    // A port that is none, such as `localhost:` or `localhost:99999`, is read as no port at all.
    if authority.port_u16().is_none() && authority.as_str() != authority.host() {
        return false;
    }
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let fetched = headers.get_all(SEC_FETCH_SITE).iter().all(|site| site == "same-origin");
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let from_here = headers.get_all(ORIGIN).iter().all(|origin| {
        origin.to_str().ok().zip(host).is_some_and(|(origin, host)| is_origin_of(origin, host))
    });
    if fetched && from_here {
        return Ok(());
    }
    Err(Problem::new(
        Code::CrossSite,
        "pages of other sites may not change anything here: send the request from a program, without `Origin` \
         and `Sec-Fetch-Site`, or from a page of the sandbox itself",
    ))
}

/// Whether a page of `origin` is of the site whose host a browser names `host`.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let Ok(site) = Url::parse(&format!("{}://{host}", origin.scheme())) else { return false };
    matches!(origin.scheme(), "http" | "https") && origin.origin() == site.origin()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    use super::*;

    const LOCAL: &str = "127.0.0.1:4000";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn code(guard: &Guard, method: &Method, headers: &HeaderMap) -> Option<Code> {
        guard
            .check(method, &Uri::from_static("/manage/v1/flows"), headers)
            .err()
            .map(|problem| problem.code())
    }

    fn secret() -> Secret {
        Secret::from("s3cret".to_owned())
    }

    fn local() -> Guard {
        Guard::new(LOCAL.parse().unwrap(), None)
    }

    #[test]
    fn on_loopback_the_host_must_be_this_machine_and_port() {
        let guard = local();
        let allowed = ["localhost:4000", "LocalHost:4000", "127.0.0.1:4000", "127.9.9.9:4000", "[::1]:4000"];
        for host in allowed {
            assert_eq!(code(&guard, &Method::GET, &headers(&[("host", host)])), None, "{host}");
        }
        let refused = [
            "evil.example:4000",
            "localhost.evil.example:4000",
            "localhost:4001",
            "localhost",
            "localhost:",
            "localhost:99999",
            "127.0.0.1.evil.example:4000",
            "user@localhost:4000",
            "192.168.1.1:4000",
            "[::2]:4000",
            "0.0.0.0:4000",
            "2130706433:4000",
            "",
            " ",
        ];
        for host in refused {
            let found = code(&guard, &Method::GET, &headers(&[("host", host)]));
            assert_eq!(found, Some(Code::HostNotAllowed), "{host}");
        }
        assert_eq!(code(&guard, &Method::GET, &HeaderMap::new()), Some(Code::HostNotAllowed));
        let mut two = headers(&[("host", "localhost:4000")]);
        two.append(HOST, HeaderValue::from_static("localhost:4000"));
        assert_eq!(code(&guard, &Method::GET, &two), Some(Code::HostNotAllowed));
    }

    #[test]
    fn on_port_80_the_host_may_leave_it_out() {
        let guard = Guard::new("127.0.0.1:80".parse().unwrap(), None);
        assert_eq!(code(&guard, &Method::GET, &headers(&[("host", "localhost")])), None);
        assert_eq!(
            code(&guard, &Method::GET, &headers(&[("host", "localhost:99999")])),
            Some(Code::HostNotAllowed)
        );
    }

    #[test]
    fn a_host_in_the_first_line_counts_as_well() {
        let refused = local().check(
            &Method::GET,
            &Uri::from_static("http://evil.example:4000/manage/v1/flows"),
            &headers(&[("host", "localhost:4000")]),
        );
        assert_eq!(refused.unwrap_err().code(), Code::HostNotAllowed);
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        let guard = local();
        let from = |name: &'static str, value: &str| headers(&[("host", "localhost:4000"), (name, value)]);
        let refused = [
            ("origin", "http://evil.example"),
            ("origin", "http://localhost:4001"),
            ("origin", "http://localhost"),
            ("origin", "http://127.0.0.1:4000"),
            ("origin", "null"),
            ("origin", ""),
            ("origin", "file://"),
            ("origin", "localhost:4000"),
            (SEC_FETCH_SITE, "cross-site"),
            (SEC_FETCH_SITE, "same-site"),
            (SEC_FETCH_SITE, "none"),
            (SEC_FETCH_SITE, ""),
        ];
        for (name, value) in refused {
            for method in [Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
                let found = code(&guard, &method, &from(name, value));
                assert_eq!(found, Some(Code::CrossSite), "{method} {name}: {value}");
            }
            assert_eq!(code(&guard, &Method::GET, &from(name, value)), None, "GET {name}: {value}");
        }
        for (name, value) in [("origin", "http://localhost:4000"), (SEC_FETCH_SITE, "same-origin")] {
            assert_eq!(code(&guard, &Method::POST, &from(name, value)), None, "{name}: {value}");
        }
        let mut both = from("origin", "http://localhost:4000");
        both.append(SEC_FETCH_SITE, HeaderValue::from_static("cross-site"));
        assert_eq!(code(&guard, &Method::POST, &both), Some(Code::CrossSite));
    }

    #[test]
    fn elsewhere_a_token_is_needed_and_any_host_is_fine() {
        for listen in ["0.0.0.0:4000", "192.168.1.5:4000", "[::]:4000"] {
            let nobody = Guard::new(listen.parse().unwrap(), None);
            let found = code(&nobody, &Method::GET, &headers(&[("host", "localhost:4000")]));
            assert_eq!(found, Some(Code::Unauthorized), "{listen}");
        }
        let guard = Guard::new("0.0.0.0:4000".parse().unwrap(), Some(&secret()));
        for (authorization, expected) in [
            ("Bearer s3cret", None),
            ("Bearer s3creT", Some(Code::Unauthorized)),
            ("Bearer s3cret2", Some(Code::Unauthorized)),
            ("Bearer ", Some(Code::Unauthorized)),
            ("Basic s3cret", Some(Code::Unauthorized)),
        ] {
            let headers = headers(&[("host", "sandbox.example"), (AUTHORIZATION.as_str(), authorization)]);
            assert_eq!(code(&guard, &Method::GET, &headers), expected, "{authorization}");
        }
        assert_eq!(
            code(&guard, &Method::GET, &headers(&[("host", "sandbox.example")])),
            Some(Code::Unauthorized)
        );
    }

    #[test]
    fn a_token_on_loopback_is_asked_for_and_does_not_open_other_hosts() {
        let guard = Guard::new(LOCAL.parse().unwrap(), Some(&secret()));
        let local = headers(&[("host", "localhost:4000")]);
        assert_eq!(code(&guard, &Method::GET, &local), Some(Code::Unauthorized));
        let mut elsewhere = headers(&[("host", "evil.example:4000")]);
        elsewhere.append(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
        assert_eq!(code(&guard, &Method::GET, &elsewhere), Some(Code::HostNotAllowed));
    }

    #[test]
    fn the_token_is_never_shown() {
        let guard = Guard::new(LOCAL.parse().unwrap(), Some(&secret()));
        assert!(!format!("{guard:?}").contains("s3cret"));
    }
}
