//! What the settings have to be, and what holds then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use url::{Host, Url};

use super::{Client, SandboxBuilder, authorities};
use crate::chaos::Chaos;
use crate::error::Error;
use crate::secret::Secret;

/// The longest token or name that a setting may have, in bytes.
const LONGEST_TEXT: usize = 1024;
const SHORTEST_TOKEN: usize = 16;
const HIGHEST_SCALE: f64 = 1_000_000.0;
const LONGEST_HISTORY: Duration = Duration::from_hours(36_500 * 24);

impl SandboxBuilder {
    /// `listen` is the address that it really listens on.
    pub(crate) fn check(self, listen: SocketAddr) -> Result<Settings, Error> {
        if !(1.0..=HIGHEST_SCALE).contains(&self.time_scale) {
            return Err(Error::invalid("time_scale", "it must be between 1 and 1,000,000"));
        }
        if !(Duration::from_millis(1)..=Duration::from_mins(10)).contains(&self.answer_deadline) {
            return Err(Error::invalid("answer_deadline", "it must be between 1 ms and 10 min"));
        }
        if self.max_retries > 100 {
            return Err(Error::invalid("max_retries", "it must be at most 100"));
        }
        if !(Duration::from_secs(1)..=LONGEST_HISTORY).contains(&self.keep_history) {
            return Err(Error::invalid("keep_history", "it must be between 1 s and 36,500 days"));
        }
        if self.public_only && self.allow_private {
            return Err(Error::invalid("allow_private", "it contradicts `public_only`: choose one of them"));
        }
        if let Some(chaos) = &self.chaos {
            chaos.check()?;
        }
        let base = self.base_url.as_deref().map(|url| check_base("base_url", url)).transpose()?;
        check_token(self.access_token.as_ref(), listen, base.as_ref())?;
        for client in &self.clients {
            check_client(client)?;
        }
        let base_url = match &self.base_url {
            None => format!("http://{}", reachable(listen)),
            Some(url) => url.trim_end_matches('/').to_owned(),
        };
        let issuer = match self.issuer {
            None => format!("{base_url}/oidc"),
            Some(issuer) => {
                check_base("issuer", &issuer)?;
                issuer
            }
        };
        Ok(Settings {
            listen,
            base,
            jwks_url: format!("{base_url}/oidc/.well-known/jwks.json"),
            base_url,
            issuer,
            time_scale: self.time_scale,
            answer_deadline: self.answer_deadline,
            max_retries: self.max_retries,
            keep_history: self.keep_history,
            root_certificates: authorities::read(&self.root_certificates)?,
            public_only: self.public_only,
            allow_private: self.allow_private,
            allow_plain_http: self.allow_plain_http,
            access_token: self.access_token,
            clients: self.clients,
            chaos: self.chaos,
        })
    }
}

/// What holds while a sandbox runs.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where it really listens.
    pub(crate) listen: SocketAddr,
    /// Where others reach it, if that was set.
    pub(crate) base: Option<Url>,
    /// Without a slash at its end.
    pub(crate) base_url: String,
    pub(crate) issuer: String,
    pub(crate) jwks_url: String,
    pub(crate) time_scale: f64,
    pub(crate) answer_deadline: Duration,
    pub(crate) max_retries: u32,
    pub(crate) keep_history: Duration,
    pub(crate) root_certificates: Vec<CertificateDer<'static>>,
    pub(crate) public_only: bool,
    pub(crate) allow_private: bool,
    pub(crate) allow_plain_http: bool,
    pub(crate) access_token: Option<Secret>,
    /// At least one.
    pub(crate) clients: Vec<Client>,
    /// What it starts with.
    pub(crate) chaos: Option<Chaos>,
}

impl Settings {
    /// What a wait of the provider takes here.
    pub(crate) fn scaled(&self, wait: Duration) -> Duration {
        wait.div_f64(self.time_scale)
    }
}

fn check_token(token: Option<&Secret>, listen: SocketAddr, base: Option<&Url>) -> Result<(), Error> {
    let Some(token) = token else {
        let needed = if !listen.ip().to_canonical().is_loopback() {
            format!("it is needed to listen on {listen}, which others may reach")
        } else if let Some(base) = base.filter(|base| !is_loopback(base)) {
            format!("it is needed with the base URL {base}, under which others reach the sandbox")
        } else {
            return Ok(());
        };
        return Err(Error::invalid("access_token", needed));
    };
    let token = token.expose();
    if (SHORTEST_TOKEN..=LONGEST_TEXT).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::invalid("access_token", "it must have 16 to 1024 visible ASCII characters"))
}

/// Whether a URL leads to this very machine, whoever follows it.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

fn check_client(client: &Client) -> Result<(), Error> {
    let fits = |text: &str| (1..=LONGEST_TEXT).contains(&text.len()) && !text.contains(char::is_control);
    if !fits(&client.id) {
        return Err(Error::invalid("client", "an id must have 1 to 1024 bytes, without control characters"));
    }
    if !fits(&client.secret) {
        let reason =
            format!("the secret of {:?} must have 1 to 1024 bytes, without control characters", client.id);
        return Err(Error::invalid("client", reason));
    }
    Ok(())
}

fn check_base(field: &'static str, text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|error| Error::invalid(field, format!("it is no URL: {error}")))?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !plain || url.password().is_some() {
        return Err(Error::invalid(field, "it must be `http://` or `https://`, a host, and perhaps a path"));
    }
    Ok(url)
}

/// Nothing can be reached at `0.0.0.0`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        ip if !ip.is_unspecified() => listen,
        IpAddr::V4(_) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listen.port()),
        IpAddr::V6(_) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), listen.port()),
    }
}
