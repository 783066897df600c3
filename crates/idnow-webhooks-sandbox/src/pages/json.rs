//! JSON for people: indented, in the order of the wire, with its parts marked for the stylesheet.

use std::fmt;

use askama::filters::{Html, HtmlSafe, escape};
use serde_json::Value;

/// A value to be shown.
#[derive(Debug, Clone)]
pub(crate) struct Json(pub(crate) Value);

/// Members come in this order, as in the provider's published example; others follow.
const ORDER: [&str; 33] = [
    "alg",
    "typ",
    "kid",
    "data",
    "eventId",
    "eventName",
    "eventVersion",
    "eventSequence",
    "eventDeliverId",
    "createdAt",
    "environment",
    "payload",
    "flowId",
    "sessionId",
    "sessionStatus",
    "lastStepId",
    "lastStepType",
    "lastStepStatus",
    "iss",
    "iat",
    "exp",
    "sub",
    "aud",
    "keys",
    "kty",
    "use",
    "key_ops",
    "n",
    "e",
    "crv",
    "x",
    "y",
    "x5c",
];

impl HtmlSafe for Json {}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, &self.0, 0)
    }
}

fn write(f: &mut fmt::Formatter<'_>, value: &Value, depth: usize) -> fmt::Result {
    let inner = depth + 1;
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut members: Vec<_> = members.iter().collect();
            members
                .sort_by_key(|(name, _)| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()));
            f.write_str("{")?;
            for (index, (name, member)) in members.into_iter().enumerate() {
                write_start(f, index, inner)?;
                write_marked(f, "name", &Value::String(name.clone()))?;
                f.write_str(": ")?;
                write(f, member, inner)?;
            }
            write!(f, "\n{:1$}}}", "", depth * 2)
        }
        Value::Array(items) if !items.is_empty() => {
            f.write_str("[")?;
            for (index, item) in items.iter().enumerate() {
                write_start(f, index, inner)?;
                write(f, item, inner)?;
            }
            write!(f, "\n{:1$}]", "", depth * 2)
        }
        Value::String(_) => write_marked(f, "text", value),
        _ => write_marked(f, "other", value),
    }
}

fn write_start(f: &mut fmt::Formatter<'_>, index: usize, depth: usize) -> fmt::Result {
    write!(f, "{}\n{:2$}", if index == 0 { "" } else { "," }, "", depth * 2)
}

fn write_marked(f: &mut fmt::Formatter<'_>, class: &str, value: &Value) -> fmt::Result {
    match escape(value.to_string(), Html) {
        Ok(safe) => write!(f, "<span class=\"{class}\">{safe}</span>"),
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_the_order_of_the_wire_and_nothing_is_taken_for_markup() {
        let value = serde_json::json!({
            "zoo": [], "aud": "<script>", "iss": 1, "data": {"payload": {}, "eventId": "\"&"}
        });
        let shown = Json(value).to_string();
        assert!(!shown.contains("<script>"), "{shown}");
        let plain = shown
            .replace("<span class=\"name\">", "")
            .replace("<span class=\"text\">", "")
            .replace("<span class=\"other\">", "")
            .replace("</span>", "")
            .replace("&#34;", "\"");
        assert_eq!(
            plain,
            "{\n  \"data\": {\n    \"eventId\": \"\\\"&#38;\",\n    \"payload\": {}\n  },\n  \"iss\": 1,\n  \
             \"aud\": \"&#60;script&#62;\",\n  \"zoo\": []\n}"
        );
    }
}
