//! What is around every page, and how a page is answered.

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use http::HeaderName;

use super::assets::{SCRIPT_HREF, STYLESHEET_HREF};
use crate::model::Counts;

/// Nothing but what the sandbox itself serves, nothing inline, no frames.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the frame of a page shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shell {
    path: String,
    /// Only what changes is wanted.
    pub(crate) fragment: bool,
    /// The kinds of changes after which the page looks different; with spaces between them.
    pub(crate) follow: &'static str,
    /// Whether the pages may be seen. Not so where one signs in.
    pub(crate) admitted: bool,
    /// Whether there is an access token to sign out from.
    pub(crate) needs_token: bool,
    /// How many dead letters there are.
    pub(crate) dead: u64,
    /// What was just done.
    pub(crate) done: Option<&'static str>,
    pub(crate) counts: Counts,
}

/// An entry of the navigation.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) href: &'static str,
    pub(crate) current: bool,
    pub(crate) counts_dead: bool,
}

const PLACES: [(&str, &str); 6] = [
    ("Overview", "/"),
    ("Flows", "/flows"),
    ("Sessions", "/sessions"),
    ("Deliveries", "/deliveries"),
    ("Dead letters", "/dead-letters"),
    ("Keys", "/keys"),
];

impl Shell {
    /// Around a page that shows nothing of what is in the sandbox.
    pub(crate) fn bare() -> Self {
        Self::default()
    }

    /// Around the page at `path`.
    pub(crate) fn at(path: &str, counts: Counts) -> Self {
        Self {
            path: path.to_owned(),
            admitted: true,
            dead: counts.deliveries.dead,
            counts,
            ..Self::default()
        }
    }

    /// With the navigation.
    pub(crate) fn with_places(mut self) -> Self {
        self.admitted = true;
        self
    }

    /// The page changes when something of these kinds does.
    pub(crate) fn following(mut self, kinds: &'static str) -> Self {
        self.follow = kinds;
        self
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        // Webhooks are settings of flows.
        let path = if self.path.starts_with("/webhooks/") { "/flows" } else { self.path.as_str() };
        let first = |path: &str| path.split('/').nth(1).unwrap_or_default().to_owned();
        let current = first(path);
        PLACES.into_iter().map(move |(name, href)| Place {
            name,
            href,
            current: first(href) == current,
            counts_dead: href == "/dead-letters",
        })
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(crate) fn stylesheet(&self) -> &'static str {
        &STYLESHEET_HREF
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(crate) fn script(&self) -> &'static str {
        &SCRIPT_HREF
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    pub(crate) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// Something that was done, and is told on the page that one is sent to afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    FlowAdded,
    FlowDeleted,
    WebhookAdded,
    WebhookSaved,
    WebhookEnabled,
    WebhookDisabled,
    WebhookDeleted,
    ScenarioPlayed,
    Retriggered,
    KeysRotated,
    KeyRetired,
}

impl Done {
    const ALL: [Self; 11] = [
        Self::FlowAdded,
        Self::FlowDeleted,
        Self::WebhookAdded,
        Self::WebhookSaved,
        Self::WebhookEnabled,
        Self::WebhookDisabled,
        Self::WebhookDeleted,
        Self::ScenarioPlayed,
        Self::Retriggered,
        Self::KeysRotated,
        Self::KeyRetired,
    ];

    /// Its name in addresses, and what is said. The address carries no text of its own: a link from elsewhere
    /// must not be able to put words into a page.
    fn name_and_text(self) -> (&'static str, &'static str) {
        match self {
            Self::FlowAdded => ("flow-added", "The flow was added. Its webhooks come next."),
            Self::FlowDeleted => ("flow-deleted", "The flow was deleted."),
            Self::WebhookAdded => ("webhook-added", "The webhook was added."),
            Self::WebhookSaved => {
                ("webhook-saved", "The changes were saved. They apply from the next attempt on.")
            }
            Self::WebhookEnabled => {
                ("webhook-enabled", "The webhook was enabled. What was held is sent now.")
            }
            Self::WebhookDisabled => ("webhook-disabled", "The webhook was disabled. What waits is held."),
            Self::WebhookDeleted => {
                ("webhook-deleted", "The webhook was deleted. Its deliveries have ended.")
            }
            Self::ScenarioPlayed => ("scenario-played", "The scenario is being played."),
            Self::Retriggered => ("retriggered", "Retriggered: they are sent again now."),
            Self::KeysRotated => ("keys-rotated", "A new key signs. The one before is still published."),
            Self::KeyRetired => ("key-retired", "The key was retired. It is not published any more."),
        }
    }

    /// What is said where the address has this name.
    pub(crate) fn told(name: &str) -> Option<&'static str> {
        Self::ALL
            .into_iter()
            .map(Self::name_and_text)
            .find_map(|(known, text)| (known == name).then_some(text))
    }
}

/// Sends the browser on after something was done; `to` may have a query.
pub(crate) fn go(to: &str, done: Option<Done>) -> Response {
    match done {
        None => Redirect::to(to).into_response(),
        Some(done) => {
            let separator = if to.contains('?') { '&' } else { '?' };
            Redirect::to(&format!("{to}{separator}done={}", done.name_and_text().0)).into_response()
        }
    }
}

/// A page, or the changing part of one.
pub(crate) fn render(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (security_headers(), Html(html)).into_response(),
        Err(error) => {
            tracing::error!(target: "idnow_webhooks::sandbox", %error, "a page could not be rendered");
            http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn security_headers() -> [(HeaderName, &'static str); 6] {
    [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        // Without a referrer at all, browsers would send `Origin: null` with the forms.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ]
}
