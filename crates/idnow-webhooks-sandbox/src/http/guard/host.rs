//! Under which names the management API and the pages are reached, and which pages' requests they take.

use std::net::{IpAddr, SocketAddr};

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};
use url::Url;

use crate::http::problem::{Code, Problem};

const SEC_FETCH_DEST: &str = "sec-fetch-dest";
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Where the sandbox is.
#[derive(Debug)]
pub(super) struct Place {
    listen: SocketAddr,
    /// Where others reach it, if that is somewhere else.
    base: Option<Url>,
}

impl Place {
    pub(super) fn new(listen: SocketAddr, base: Option<&Url>) -> Self {
        Self { listen: SocketAddr::new(listen.ip().to_canonical(), listen.port()), base: base.cloned() }
    }

    /// Whether only this machine reaches it.
    pub(super) fn is_local(&self) -> bool {
        self.listen.ip().is_loopback()
    }

    pub(super) fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut named = headers.get_all(HOST).iter().map(|value| Authority::try_from(value.as_bytes()).ok());
        let (Some(Some(host)), None) = (named.next(), named.next()) else {
            return Err(Problem::new(Code::HostNotAllowed, "exactly one readable `Host` header is needed"));
        };
        // A request may name its host in the first line, too.
        for authority in uri.authority().into_iter().chain([&host]) {
            if !self.is_named_by(authority) {
                return Err(Problem::new(Code::HostNotAllowed, self.refusal(authority)));
            }
        }
        Ok(())
    }

    fn is_named_by(&self, authority: &Authority) -> bool {
        // A port that is none, such as `localhost:` or `localhost:99999`, is read as no port at all.
        let odd = authority.port_u16().is_none() && authority.as_str() != authority.host();
        !odd && !authority.as_str().contains('@') && (self.is_here(authority) || self.is_base(authority))
    }

    /// By an address of the machine, or `localhost`.
    fn is_here(&self, authority: &Authority) -> bool {
        let host = authority.host();
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let address = address.parse().ok().map(|address: IpAddr| address.to_canonical());
        let loopback =
            host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback());
        if self.is_local() {
            return loopback && authority.port_u16().unwrap_or(80) == self.listen.port();
        }
        // From outside a container, its port may be another one. And no page can have an address lead elsewhere, as it
        // can with its name: where all addresses are listened on, any of them will do.
        let listened = self.listen.ip();
        loopback || address.is_some_and(|address| listened.is_unspecified() || address == listened)
    }

    /// By the name that others know: proxies do not agree about the port.
    fn is_base(&self, authority: &Authority) -> bool {
        let Some(base) = &self.base else { return false };
        Url::parse(&format!("{}://{authority}", base.scheme())).is_ok_and(|named| named.host() == base.host())
    }

    fn refusal(&self, named: &Authority) -> String {
        let port = self.listen.port();
        let mut places = format!("localhost:{port}, 127.0.0.1:{port} or [::1]:{port}");
        if !self.is_local() {
            places = format!("an address or localhost ({})", self.listen);
        }
        if let Some(host) = self.base.as_ref().and_then(Url::host_str) {
            places.push_str(", or ");
            places.push_str(host);
        }
        let shown: String = named.as_str().chars().take(100).collect();
        format!(
            "a request for `{shown}` is not answered, as pages elsewhere can have names of theirs lead here: `Host` must be \
             {places}. To be reached by another name, of a proxy or in a network of containers, start the sandbox with \
             it as the base URL (`--base-url http://{shown}`) and with an access token"
        )
    }

    /// Keeps pages of other sites from changing anything.
    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let fetched = headers.get_all(SEC_FETCH_SITE).iter().all(|site| site == "same-origin");
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let from_here = headers.get_all(ORIGIN).iter().all(|origin| {
            origin.to_str().ok().zip(host).is_some_and(|(origin, host)| self.is_ours(origin, host))
        });
        if fetched && from_here {
            return Ok(());
        }
        Err(Problem::new(
            Code::CrossSite,
            "pages of other sites may not change anything here: send the request from a program, without `Origin` \
             and `Sec-Fetch-Site`, or from a page of the sandbox itself; behind a proxy, the sandbox must be started with \
             the address that the browser shows as its base URL (`--base-url`)",
        ))
    }

    /// A page of another site cannot read the answer, but it could take up the places of those who may. A link there may be
    /// followed.
    pub(super) fn check_reader(headers: &HeaderMap) -> Result<(), Problem> {
        let elsewhere = |site: &HeaderValue| site != "same-origin" && site != "none";
        let followed = headers.get(SEC_FETCH_DEST).is_some_and(|destination| destination == "document");
        if followed || !headers.get_all(SEC_FETCH_SITE).iter().any(elsewhere) {
            return Ok(());
        }
        Err(Problem::new(
            Code::CrossSite,
            "pages of other sites may not ask for anything here: send the request from a program, without `Sec-Fetch-Site`, \
             or from a page of the sandbox itself",
        ))
    }

    /// Whether a page of `origin` is one of ours, when the browser, or a proxy for it, names `host`. Under the name that
    /// others know, only the very base URL is: what is behind the other ports of that host is somebody else's.
    fn is_ours(&self, origin: &str, host: &str) -> bool {
        let Ok(origin) = Url::parse(origin) else { return false };
        if !matches!(origin.scheme(), "http" | "https") {
            return false;
        }
        if self.base.as_ref().is_some_and(|base| base.origin() == origin.origin()) {
            return true;
        }
        Authority::try_from(host).is_ok_and(|host| self.is_here(&host))
            && Url::parse(&format!("{}://{host}", origin.scheme()))
                .is_ok_and(|site| site.origin() == origin.origin())
    }

    /// Whether the browser speaks TLS, to a proxy: it says so with a form, and else the name tells.
    pub(super) fn is_by_tls(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter().peekable();
        if origins.peek().is_some() {
            return origins.all(|origin| origin.as_bytes().starts_with(b"https://"));
        }
        let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        self.base.as_ref().is_some_and(|base| base.scheme() == "https")
            && host.is_some_and(|host| self.is_base(&host))
    }
}
