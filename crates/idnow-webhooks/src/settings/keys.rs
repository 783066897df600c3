//! Where the keys come from, and which environment of the provider they belong to.

use std::fmt;
use std::path::PathBuf;

use idnow_webhooks_core::Secret;
#[cfg(feature = "jwks")]
use idnow_webhooks_jwks::Location;

use super::error::SettingsError;
use super::value::Variables;

/// The provider's environments whose addresses are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// `sandbox`: issuer and keys at `auth.eu.platform.idnow.sx`.
    Sandbox,
    /// `production`: issuer and keys at `auth.eu.platform.idnow.io`.
    Production,
}

impl Preset {
    const ALL: [Self; 2] = [Self::Sandbox, Self::Production];

    /// The `iss` of its tokens.
    pub fn issuer(self) -> &'static str {
        match self {
            Self::Sandbox => "https://auth.eu.platform.idnow.sx/oidc",
            Self::Production => "https://auth.eu.platform.idnow.io/oidc",
        }
    }

    /// Where its keys are published.
    pub fn jwks_url(self) -> &'static str {
        match self {
            Self::Sandbox => "https://auth.eu.platform.idnow.sx/oidc/.well-known/jwks.json",
            Self::Production => "https://auth.eu.platform.idnow.io/oidc/.well-known/jwks.json",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Production => "production",
        }
    }

    /// The environment whose server this URL names, if it is one of these.
    pub(super) fn of(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| host(preset.issuer()).eq_ignore_ascii_case(host(url)))
    }

    /// From `IDNOW_ENVIRONMENT`. What names another environment's server beside it is an error: no delivery would ever be
    /// accepted.
    pub(super) fn read(read: &Variables) -> Result<Option<Self>, SettingsError> {
        const VARIABLE: &str = "IDNOW_ENVIRONMENT";
        let chosen = read.one_of(VARIABLE, &Self::ALL.map(|preset| (preset.name(), preset)))?;
        let named = ["IDNOW_ISSUER", "IDNOW_JWKS_URL"]
            .into_iter()
            .filter_map(|name| Some((name, Self::of(&read.text(name)?)?)));
        let mut named = chosen.map(|preset| (VARIABLE, preset)).into_iter().chain(named);
        if let Some((first, preset)) = named.next()
            && let Some((other, another)) = named.find(|(_, another)| *another != preset)
        {
            return Err(SettingsError::two_environments((other, another.name()), (first, preset.name())));
        }
        Ok(chosen)
    }
}

/// The host of what looks like a URL: what is wrong with it, others say.
fn host(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.trim_start_matches(['/', '\\']);
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    host.trim_end_matches('.')
}

/// What tokens are verified with. `Debug` shows neither secrets nor what URLs may hold of them.
///
/// All but the secrets need the feature `jwks`.
#[derive(Clone)]
#[non_exhaustive]
pub enum Keys {
    /// The JWKS that the issuer advertises (OIDC discovery).
    Discovery,
    /// The JWKS at this URL.
    Url(String),
    /// The same, but plain HTTP is allowed to any host: for tests, in a network that is yours alone. No variable sets this.
    InsecureUrl(String),
    /// The JWKS in this file; no network is used.
    File(PathBuf),
    /// Shared secrets (HMAC), and nothing else.
    Secrets(Vec<Secret>),
}

impl Keys {
    /// Keys come from one place. Without any of the variables it is the preset's, or else what the issuer advertises; an
    /// issuer that was set by hand is never combined with the keys of a preset.
    pub(super) fn read(
        read: &Variables,
        preset: Option<Preset>,
        own_issuer: bool,
    ) -> Result<Self, SettingsError> {
        let url = read.text("IDNOW_JWKS_URL").map(|url| ("IDNOW_JWKS_URL", Self::Url(url)));
        let file = read.text("IDNOW_JWKS_FILE").map(|path| ("IDNOW_JWKS_FILE", Self::File(path.into())));
        let secrets = read.secrets("IDNOW_WEBHOOK_SECRET")?;
        let secrets = secrets.map(|secrets| (read.set_by("IDNOW_WEBHOOK_SECRET"), Self::Secrets(secrets)));
        let mut given = [url, file, secrets].into_iter().flatten();
        match (given.next(), given.next()) {
            (Some((one, _)), Some((other, _))) => Err(SettingsError::two_places_of_keys(one, other)),
            (Some((_, keys)), None) => Ok(keys),
            _ => Ok(match preset {
                Some(preset) if !own_issuer => Self::Url(preset.jwks_url().to_owned()),
                _ => Self::Discovery,
            }),
        }
    }

    /// The variable that asks for them.
    #[cfg(not(feature = "jwks"))]
    pub(super) fn variable(&self) -> &'static str {
        match self {
            Self::Discovery => "IDNOW_ISSUER",
            Self::Url(_) | Self::InsecureUrl(_) => "IDNOW_JWKS_URL",
            Self::File(_) => "IDNOW_JWKS_FILE",
            Self::Secrets(_) => "IDNOW_WEBHOOK_SECRET",
        }
    }

    /// Where to fetch them, or else the secrets.
    #[cfg(feature = "jwks")]
    pub(super) fn location(&self, issuer: &str) -> Result<Location, &[Secret]> {
        match self {
            Self::Discovery => Ok(Location::issuer(issuer)),
            Self::Url(url) => Ok(Location::url(url)),
            Self::InsecureUrl(url) => Ok(Location::insecure_url(url)),
            Self::File(path) => Ok(Location::file(path)),
            Self::Secrets(secrets) => Err(secrets),
        }
    }

    /// What the key source would refuse later is refused here, where the variable's name is known.
    #[cfg(feature = "jwks")]
    pub(super) fn check(&self, issuer: &str) -> Result<(), SettingsError> {
        let (variable, value) = match self {
            Self::Discovery => ("IDNOW_ISSUER", issuer),
            Self::Url(url) | Self::InsecureUrl(url) => ("IDNOW_JWKS_URL", url.as_str()),
            Self::File(_) | Self::Secrets(_) => return Ok(()),
        };
        let Ok(location) = self.location(issuer) else { return Ok(()) };
        location.validate().map_err(|error| SettingsError::wrong_location(variable, value, &error))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery => f.write_str("Discovery"),
            #[cfg(feature = "jwks")]
            Self::Url(url) => Location::url(url).fmt(f),
            #[cfg(feature = "jwks")]
            Self::InsecureUrl(url) => Location::insecure_url(url).fmt(f),
            // Nothing here can tell where in a URL its secrets are.
            #[cfg(not(feature = "jwks"))]
            Self::Url(_) => f.write_str("Url(..)"),
            #[cfg(not(feature = "jwks"))]
            Self::InsecureUrl(_) => f.write_str("InsecureUrl(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Secrets(secrets) => f.debug_tuple("Secrets").field(secrets).finish(),
        }
    }
}
