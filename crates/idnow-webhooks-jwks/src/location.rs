use std::fmt;
use std::path::PathBuf;

use url::{Host, Url};

use crate::error::ConfigError;

/// The sandbox's key URL.
pub const SANDBOX_JWKS_URL: &str = "https://auth.eu.platform.idnow.sx/oidc/.well-known/jwks.json";
/// The production key URL.
pub const PRODUCTION_JWKS_URL: &str = "https://auth.eu.platform.idnow.io/oidc/.well-known/jwks.json";

/// Where the keys are. Checked when the key source is started, or earlier by [`validate`](Self::validate).
#[derive(Clone)]
pub struct Location(Place);

#[derive(Clone)]
enum Place {
    Url(String),
    InsecureUrl(String),
    Issuer(String),
    File(PathBuf),
}

impl Location {
    /// A JWKS document at this URL, such as [`SANDBOX_JWKS_URL`] or [`PRODUCTION_JWKS_URL`].
    ///
    /// It must be HTTPS; plain HTTP is allowed only to `localhost` and loopback addresses.
    pub fn url(url: impl Into<String>) -> Self {
        Self(Place::Url(url.into()))
    }

    /// The same, but plain HTTP is allowed to any host.
    ///
    /// Whoever can answer in the place of that host, or change what it answers on its way, decides what is believed. So
    /// this is for tests alone, in a network that is yours alone: of containers, say.
    pub fn insecure_url(url: impl Into<String>) -> Self {
        Self(Place::InsecureUrl(url.into()))
    }

    /// The JWKS document that this OIDC issuer advertises at `<issuer>/.well-known/openid-configuration`.
    ///
    /// Give the issuer exactly as tokens carry it in `iss`: the discovery document must name the same one,
    /// character by character. The document is read again on every fetch, so the provider can move its keys.
    /// The issuer must be HTTPS, with the same exception as for [`url`](Self::url). The URL of the keys must be
    /// HTTPS, too, unless the issuer itself is plain HTTP on this machine.
    pub fn issuer(issuer: impl Into<String>) -> Self {
        Self(Place::Issuer(issuer.into()))
    }

    /// A JWKS document in a file: pinned keys, no network.
    ///
    /// The file is read again once per [`min_lifetime`](crate::JwksSourceBuilder::min_lifetime), and when a
    /// token names an unknown key, so it can be replaced while the process runs. Replace it by renaming a
    /// complete file over it.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Place::File(path.into()))
    }

    /// Whether keys could be fetched from here, as far as can be told without trying.
    ///
    /// [`connect`](crate::JwksSourceBuilder::connect) and [`start`](crate::JwksSourceBuilder::start) check the
    /// same. This is for programs that read their whole configuration first, and can say where a mistake is.
    /// Nothing is fetched or opened; a file passes, whether it exists or not.
    ///
    /// ```
    /// use idnow_webhooks_jwks::Location;
    ///
    /// assert!(Location::issuer("https://auth.example.com/oidc").validate().is_ok());
    /// assert!(Location::issuer("auth.example.com").validate().is_err());
    /// assert!(Location::url("http://keys.example.com/jwks.json").validate().is_err(), "not https");
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidUrl`], [`ConfigError::InsecureUrl`] or [`ConfigError::InvalidIssuer`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check().map(drop)
    }

    pub(crate) fn check(&self) -> Result<Checked, ConfigError> {
        match &self.0 {
            Place::Url(text) => {
                Ok(Checked::Url(checked(text, "key URL", "https://keys.example.com/jwks.json")?))
            }
            Place::InsecureUrl(text) => {
                let url = parsed(text, "key URL", "http://sandbox:4390/oidc/.well-known/jwks.json")?;
                if matches!(url.scheme(), "http" | "https") {
                    Ok(Checked::Url(url))
                } else {
                    Err(ConfigError::InsecureUrl { what: "key URL", url: shown(&url) })
                }
            }
            Place::Issuer(issuer) => {
                let mut url = checked(issuer, "issuer", "https://auth.example.com/oidc")?;
                let plain = url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none();
                if !plain {
                    return Err(ConfigError::InvalidIssuer { url: shown(&url) });
                }
                let path = url.path().strip_suffix('/').unwrap_or(url.path());
                let path = format!("{path}/.well-known/openid-configuration");
                url.set_path(&path);
                Ok(Checked::Issuer { issuer: issuer.clone(), document: url })
            }
            Place::File(path) => Ok(Checked::File(path.clone())),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Url(text) => f.debug_tuple("Url").field(&shown_text(text)).finish(),
            Place::InsecureUrl(text) => f.debug_tuple("InsecureUrl").field(&shown_text(text)).finish(),
            Place::Issuer(text) => f.debug_tuple("Issuer").field(&shown_text(text)).finish(),
            Place::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// A location that is known to be safe to use.
#[derive(Clone)]
pub(crate) enum Checked {
    Url(Url),
    Issuer { issuer: String, document: Url },
    File(PathBuf),
}

impl Checked {
    /// The URL that is asked first.
    pub(crate) fn first_url(&self) -> Option<&Url> {
        match self {
            Self::Url(url) | Self::Issuer { document: url, .. } => Some(url),
            Self::File(_) => None,
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) | Self::Issuer { document: url, .. } => f.write_str(&shown(url)),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

fn checked(text: &str, what: &'static str, example: &'static str) -> Result<Url, ConfigError> {
    let url = parsed(text, what, example)?;
    if is_safe(&url) { Ok(url) } else { Err(ConfigError::InsecureUrl { what, url: shown(&url) }) }
}

fn parsed(text: &str, what: &'static str, example: &'static str) -> Result<Url, ConfigError> {
    Url::parse(text).map_err(|error| ConfigError::InvalidUrl { what, cause: error.to_string(), example })
}

/// Keys that an attacker on the network could replace would make every signature worthless.
pub(crate) fn is_safe(url: &Url) -> bool {
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(host)) => match host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        },
        _ => false,
    }
}

/// The URL without the parts that may hold secrets.
pub(crate) fn shown(url: &Url) -> String {
    // `user:password@host` is a URL of the scheme `user`.
    if url.cannot_be_a_base() {
        return format!("{}:(not shown)", url.scheme());
    }
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// The same for a text that may not be a URL at all.
pub(crate) fn shown_text(text: &str) -> String {
    Url::parse(text).map_or_else(|_| "(not a URL)".to_owned(), |url| shown(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_http_are_safe() {
        for url in [
            SANDBOX_JWKS_URL,
            PRODUCTION_JWKS_URL,
            "http://localhost:8080/jwks.json",
            "http://127.0.0.1/jwks.json",
            "http://127.8.9.10:1/",
            "http://[::1]:8080/",
        ] {
            assert!(Location::url(url).check().is_ok(), "{url}");
        }
        for url in [
            "http://example.com/jwks.json",
            "http://localhost.example.com/",
            "http://localhost@example.com/",
            "http://10.0.0.1/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://128.0.0.1/",
            "ftp://localhost/",
            "file:///etc/keys.json",
        ] {
            let result = Location::url(url).check();
            assert!(matches!(result, Err(ConfigError::InsecureUrl { .. })), "{url}");
        }
        for url in ["", "jwks.json", "//host/path", "https://", "https://exa mple/"] {
            let result = Location::url(url).check();
            assert!(matches!(result, Err(ConfigError::InvalidUrl { .. })), "{url}");
        }
    }

    #[test]
    fn plain_http_to_any_host_must_be_asked_for() {
        let url = "http://sandbox:4390/oidc/.well-known/jwks.json";
        assert!(Location::url(url).check().is_err());
        let checked = Location::insecure_url(url).check().unwrap();
        assert_eq!(checked.first_url().unwrap().as_str(), url);
        assert!(Location::insecure_url("https://sandbox/").check().is_ok());
        for url in ["ftp://sandbox/", "file:///keys.json", "data:,{}"] {
            let result = Location::insecure_url(url).check();
            assert!(matches!(result, Err(ConfigError::InsecureUrl { .. })), "{url}");
        }
        assert!(matches!(Location::insecure_url("sandbox").check(), Err(ConfigError::InvalidUrl { .. })));
    }

    #[test]
    fn discovery_url_follows_the_specification() {
        for (issuer, expected) in [
            ("https://a.example/oidc", "https://a.example/oidc/.well-known/openid-configuration"),
            ("https://a.example/oidc/", "https://a.example/oidc/.well-known/openid-configuration"),
            ("https://a.example", "https://a.example/.well-known/openid-configuration"),
        ] {
            let checked = Location::issuer(issuer).check().unwrap();
            assert_eq!(checked.first_url().unwrap().as_str(), expected);
        }
        for issuer in ["https://a.example/?x", "https://a.example/#x", "https://u:p@a.example/"] {
            assert!(matches!(Location::issuer(issuer).check(), Err(ConfigError::InvalidIssuer { .. })));
        }
    }

    #[test]
    fn secrets_in_urls_are_never_shown() {
        let url = "http://user:hunter2@keys.example.com/jwks?token=hunter2";
        let error = Location::url(url).check().err().unwrap();
        assert_eq!(shown_text(url), "http://keys.example.com/jwks");
        for text in [error.to_string(), format!("{error:?}"), format!("{:?}", Location::url(url))] {
            assert!(text.contains("keys.example.com") && !text.contains("hunter2"), "{text}");
        }
        let bare = Location::url("user:hunter2@keys.example.com");
        for text in [bare.validate().unwrap_err().to_string(), format!("{bare:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
