//! Who is believed.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use idnow_webhooks::Settings;
use idnow_webhooks::settings::{Keys, environment};
use serde::Deserialize;
use url::{Host, Url};

use super::Arguments;
use crate::{Failure, client, text, wrong_usage};

/// These say where the webhook of a server is; here, options do.
const PLACE: [&str; 2] = ["LISTEN", "WEBHOOK_PATH"];
/// What a sandbox takes the place of.
const TRUST: [&str; 7] = [
    "IDNOW_ALGORITHMS",
    "IDNOW_ENVIRONMENT",
    "IDNOW_ISSUER",
    "IDNOW_JWKS_FILE",
    "IDNOW_JWKS_URL",
    "IDNOW_WEBHOOK_SECRET",
    "IDNOW_WEBHOOK_SECRET_FILE",
];
/// Variables cannot say that plain HTTP is allowed.
const REPLACED: &str = "https://sandbox.invalid/";
/// A sandbox is asked for its name only.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What a sandbox says of itself (OIDC discovery).
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// The settings of a listener at this address.
pub(super) async fn find(arguments: &Arguments, listening: SocketAddr) -> Result<Settings, Failure> {
    let mut variables = environment()?;
    variables.retain(|(name, _)| !PLACE.contains(&name.as_str()));
    let Some(sandbox) = &arguments.sandbox else {
        return Settings::from_variables(variables).map_err(|error| {
            format!("{error}\nTo believe a sandbox on this machine: --sandbox http://127.0.0.1:4390").into()
        });
    };
    check_way(sandbox, arguments.allow_plain_http)?;
    let Discovery { issuer, jwks_uri } = discover(sandbox).await?;
    check_keys(sandbox, &jwks_uri)?;
    variables.retain(|(name, _)| !TRUST.contains(&name.as_str()));
    let mut audiences = urls(listening, &arguments.path);
    // The last of two with one name counts, so its own value would be lost.
    audiences.extend(
        variables.iter().filter(|(name, _)| name == "IDNOW_AUDIENCE").map(|(_, value)| value.clone()),
    );
    // What is named over TLS may not lead to anything else.
    let is_plain = sandbox.scheme() == "http" && !is_this_machine(sandbox);
    let insecure = (arguments.allow_plain_http && is_plain).then(|| jwks_uri.clone());
    let jwks_uri = if insecure.is_some() { REPLACED.to_owned() } else { jwks_uri };
    let of_sandbox = [
        ("IDNOW_ISSUER", issuer),
        ("IDNOW_JWKS_URL", jwks_uri),
        ("IDNOW_AUDIENCE", audiences.into_iter().collect::<Vec<_>>().join(",")),
    ];
    variables.extend(of_sandbox.map(|(name, value)| (name.to_owned(), value)));
    let slow = variables.iter().any(|(name, _)| name == "IDNOW_JWKS_MIN_REFRESH_SECONDS");
    let mut settings = Settings::from_variables(variables)
        .map_err(|error| format!("the sandbox at {} cannot be used: {error}", client::shown(sandbox)))?;
    if let Some(url) = insecure {
        settings.keys = Keys::InsecureUrl(url);
    }
    if !slow {
        // Nobody has to be spared here, and keys are rotated by hand to see what happens.
        settings.jwks_min_refresh = Duration::from_secs(1);
    }
    Ok(settings)
}

/// Under which URLs an endpoint on this machine may be known to the sandbox.
fn urls(listening: SocketAddr, path: &str) -> BTreeSet<String> {
    let port = listening.port();
    let mut urls = BTreeSet::new();
    let mut add = |host: &str| {
        urls.insert(format!("http://{host}:{port}{path}"));
        if port == 80 {
            urls.insert(format!("http://{host}{path}"));
        }
    };
    match listening.ip() {
        IpAddr::V6(address) => add(&format!("[{address}]")),
        IpAddr::V4(address) => add(&address.to_string()),
    }
    if listening.ip().is_loopback() || listening.ip().is_unspecified() {
        ["127.0.0.1", "localhost", "[::1]"].into_iter().for_each(add);
    }
    urls
}

/// Its keys decide what is believed, so nobody else must be able to answer in its place, unless it was asked for.
fn check_way(sandbox: &Url, allow_plain_http: bool) -> Result<(), Failure> {
    if allow_plain_http || sandbox.scheme() == "https" || is_this_machine(sandbox) {
        return Ok(());
    }
    Err(wrong_usage(
        "listen",
        format!(
            "--sandbox {}: without TLS, anybody on the way to it can make anything believed; in a network of containers \
             that is yours alone, add --allow-plain-http",
            client::shown(sandbox)
        ),
    )
    .into())
}

/// A sandbox that does not know how others reach it gives an address that leads everybody to themselves.
fn check_keys(sandbox: &Url, jwks_uri: &str) -> Result<(), Failure> {
    let keys_here = Url::parse(jwks_uri).is_ok_and(|url| is_this_machine(&url));
    if keys_here && !is_this_machine(sandbox) {
        let (url, keys) = (client::shown(sandbox), text::line(jwks_uri));
        let base = url.trim_end_matches('/');
        return Err(format!(
            "the sandbox at {url} says that its keys are at {keys}, which is this machine from here: start it with \
             --base-url {base}"
        )
        .into());
    }
    Ok(())
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

async fn discover(sandbox: &Url) -> Result<Discovery, Failure> {
    let failed = |why: String| -> Failure {
        format!(
            "no sandbox answers at {}: {why}. To start one: idnow-webhooks sandbox",
            client::shown(sandbox)
        )
        .into()
    };
    let url = client::below(sandbox, "oidc/.well-known/openid-configuration");
    let client = client::builder(&url).timeout(Duration::from_secs(5)).build().map_err(client::explain)?;
    let mut response = client.get(url).send().await.map_err(|error| failed(client::explain(error)))?;
    if !response.status().is_success() {
        return Err(failed(format!("{} for its openid-configuration", response.status())));
    }
    let body =
        client::read(&mut response, LONGEST_ANSWER).await.map_err(|error| failed(client::explain(error)))?;
    serde_json::from_slice(&body).map_err(|_| failed("its openid-configuration cannot be read".into()))
}
