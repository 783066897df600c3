//! The stylesheet, the script and the icon: part of the binary, nothing comes from elsewhere.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

const STYLESHEET: &str = include_str!("assets/sandbox.css");
const SCRIPT: &str = include_str!("assets/sandbox.js");
const ICON: &str = include_str!("assets/icon.svg");

/// Where the stylesheet is. The address changes with what is in it, so browsers may keep it.
pub(crate) static STYLESHEET_HREF: LazyLock<String> = LazyLock::new(|| href("sandbox.css", STYLESHEET));
/// Where the script is.
pub(crate) static SCRIPT_HREF: LazyLock<String> = LazyLock::new(|| href("sandbox.js", SCRIPT));

fn href(name: &str, content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("/assets/{name}?{:016x}", hasher.finish())
}

pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/assets/sandbox.css", get(async || asset("text/css; charset=utf-8", STYLESHEET)))
        .route("/assets/sandbox.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/assets/icon.svg", get(async || asset("image/svg+xml", ICON)))
}

fn asset(media_type: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content)
}
