use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Where the events of a flow in an environment are sent to.
///
/// Values of headers are secrets: they are shown masked, in the API, on the pages and in `Debug`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Endpoint {
    /// Its identifier.
    pub id: Uuid,
    /// The flow that it belongs to.
    pub flow_id: Uuid,
    /// `staging`, `live`, or any other name.
    pub environment: String,
    /// Where deliveries are sent to, and the audience of their tokens.
    pub url: String,
    /// For people.
    pub description: String,
    /// Sent with every request.
    pub headers: Vec<Header>,
    /// The names of the events that are sent. Empty: all, those included that do not exist yet.
    pub events: BTreeSet<String>,
    /// Whether anything is sent at all.
    pub enabled: bool,
    /// Where the token is put.
    pub token_place: TokenPlace,
    /// How many deliveries may be under way at once.
    pub concurrency: u16,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A header of an endpoint. `Debug` and JSON show the value masked.
#[derive(Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(from = "FromObject", deny_unknown_fields)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The value: write-only.
    pub value: String,
}

/// What is shown of a secret.
pub(crate) const MASK: &str = "********";

/// A header that is read from an object alone: a struct would be read from a list of two texts as well.
struct FromObject {
    name: String,
    value: String,
}

impl From<FromObject> for Header {
    fn from(FromObject { name, value }: FromObject) -> Self {
        Self { name, value }
    }
}

impl<'de> Deserialize<'de> for FromObject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(remote = "FromObject", deny_unknown_fields)]
        struct Members {
            name: String,
            value: String,
        }
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = FromObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `name` and `value`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<FromObject, A::Error> {
                Members::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Serialize for Header {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut header = serializer.serialize_struct("Header", 2)?;
        header.serialize_field("name", &self.name)?;
        header.serialize_field("value", MASK)?;
        header.end()
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("name", &self.name).field("value", &MASK).finish()
    }
}

/// Where a delivery carries its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenPlace {
    /// The token is the body, `Content-Type: application/jwt`.
    #[default]
    Body,
    /// The older variant: the event as JSON in the body, the token in the header `X-Idnow-Signature`.
    Header,
}

/// An endpoint to be made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewEndpoint {
    /// The flow that it belongs to.
    pub flow_id: Uuid,
    /// 1 to 64 letters, digits, `-`, `_` or `.`.
    pub environment: String,
    /// `https`, or `http` to a loopback address.
    pub url: String,
    /// For people, at most 500 characters.
    #[serde(default)]
    pub description: String,
    /// Sent with every request; at most 20.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// The names of the events to be sent; all if it is empty.
    #[serde(default)]
    pub events: BTreeSet<String>,
    /// Whether anything is sent.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Where the token is put.
    #[serde(default)]
    pub token_place: TokenPlace,
    /// How many deliveries may be under way at once: 1 to 1000, by default 8.
    #[serde(default = "usual_concurrency")]
    pub concurrency: u16,
}

impl NewEndpoint {
    /// An endpoint for all events, with the defaults.
    pub fn new(flow_id: Uuid, environment: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            flow_id,
            environment: environment.into(),
            url: url.into(),
            description: String::new(),
            headers: Vec::new(),
            events: BTreeSet::new(),
            enabled: true,
            token_place: TokenPlace::default(),
            concurrency: usual_concurrency(),
        }
    }
}

fn yes() -> bool {
    true
}

fn usual_concurrency() -> u16 {
    8
}

/// What is to become of an endpoint; what is left out stays. Its flow and environment cannot change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointChange {
    /// See [`NewEndpoint::url`].
    #[serde(default)]
    pub url: Option<String>,
    /// See [`NewEndpoint::description`].
    #[serde(default)]
    pub description: Option<String>,
    /// All of them. A header whose value is the mask, as it was read, keeps the value that it has.
    #[serde(default)]
    pub headers: Option<Vec<Header>>,
    /// See [`NewEndpoint::events`].
    #[serde(default)]
    pub events: Option<BTreeSet<String>>,
    /// See [`NewEndpoint::enabled`].
    #[serde(default)]
    pub enabled: Option<bool>,
    /// See [`NewEndpoint::token_place`].
    #[serde(default)]
    pub token_place: Option<TokenPlace>,
    /// See [`NewEndpoint::concurrency`].
    #[serde(default)]
    pub concurrency: Option<u16>,
}
