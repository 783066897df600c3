//! What these commands need to make requests.

use std::error::Error;

use reqwest::{Client, ClientBuilder, Response, redirect};
use url::Url;

use crate::text;

/// A client that follows no redirects and uses no proxy, for URLs like this one.
pub(crate) fn builder(url: &Url) -> ClientBuilder {
    let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
    // Without TLS it must also start where no root certificates are installed.
    if url.scheme() == "http" { client.tls_certs_only([]) } else { client }
}

/// A URL to send requests to, as an argument.
pub(crate) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}: expected http://... or https://..."))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("expected http://... or https://...".into());
    }
    Ok(url)
}

/// The URL without the parts that may hold secrets.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail only for URLs without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// What went wrong in the end, in one line and without the URL, which may hold secrets.
pub(crate) fn explain(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let what = if error.is_connect() { "no connection" } else { "no complete answer" };
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    text::line(&format!("{what}: {cause}")).into_owned()
}

/// A URL of the service at `base`.
pub(crate) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let folder = base.path().trim_end_matches('/');
    url.set_path(&format!("{folder}/{path}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Reads a body, the beginning of it if it is longer than `most` bytes.
pub(crate) async fn read(response: &mut Response, most: usize) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        let room = most.saturating_sub(body.len());
        body.extend(piece.iter().take(room));
        if piece.len() > room {
            break;
        }
    }
    Ok(body)
}
