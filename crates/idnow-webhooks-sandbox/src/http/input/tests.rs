use uuid::Uuid;

use super::*;
use crate::model::{EndpointChange, NewEndpoint, NewFlow, SessionStatus, Step};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "only how it is read matters")]
struct Asked {
    flow_id: Option<Uuid>,
    status: Option<SessionStatus>,
    limit: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    status: Option<SessionStatus>,
}

fn field_of<T: DeserializeOwned>(json: &str) -> (Code, Option<String>) {
    let problem = from_json::<T>(json.as_bytes()).err().unwrap();
    (problem.code(), problem.field().map(str::to_owned))
}

fn at(field: &str) -> (Code, Option<String>) {
    (Code::InvalidInput, Some(field.to_owned()))
}

#[test]
fn what_is_wrong_is_named() {
    let flow = Uuid::nil();
    assert_eq!(field_of::<NewFlow>("{}"), at("name"));
    assert_eq!(field_of::<NewFlow>(r#"{"name":1}"#), at("name"));
    assert_eq!(field_of::<NewFlow>(r#"{"name":"a","nmae":"b"}"#), at("nmae"));
    assert_eq!(field_of::<NewFlow>(r#"{"name":"a","name":"b"}"#), at("name"));
    assert_eq!(field_of::<NewFlow>(r#"{"name":"a","sessionTtlSeconds":-1}"#), at("sessionTtlSeconds"));
    let headers = |headers: &str| {
        format!(r#"{{"flowId":"{flow}","environment":"live","url":"https://a.example","headers":{headers}}}"#)
    };
    assert_eq!(field_of::<NewEndpoint>(&headers(r#"[{"name":"a"}]"#)), at("headers[0].value"));
    assert_eq!(
        field_of::<NewEndpoint>(&headers(r#"[{"name":"a","value":"b"},{"name":"a","value":2}]"#)),
        at("headers[1].value")
    );
    assert_eq!(field_of::<NewEndpoint>(&headers(r#"[{"name":"a","value":"b","c":1}]"#)), at("headers[0].c"));
    assert_eq!(field_of::<EndpointChange>(r#"{"tokenPlace":"cookie"}"#), at("tokenPlace"));
    assert_eq!(field_of::<EndpointChange>(r#"{"environment":"live"}"#), at("environment"));
    assert_eq!(field_of::<NewEndpoint>(&headers(r#"[["a","b"]]"#)), at("headers[0]"));
    for no_object in ["[]", r#"["a"]"#, " [\"a\",60]", "null", "1", r#""a""#, "true"] {
        assert_eq!(field_of::<NewFlow>(no_object), (Code::InvalidInput, None), "{no_object}");
    }
}

#[test]
fn a_step_has_no_members_of_other_steps() {
    assert_eq!(field_of::<Step>(r#"{"step":"fly"}"#), at("step"));
    assert_eq!(field_of::<Step>("{}"), at("step"));
    assert_eq!(field_of::<Step>(r#"{"step":"complete","outcome":"perhaps"}"#).0, Code::InvalidInput);
    assert_eq!(field_of::<Step>(r#"{"step":"complete","outcom":"rejected"}"#), at("outcom"));
    assert_eq!(field_of::<Step>(r#"{"step":"abort","outcome":"rejected"}"#), at("outcome"));
}

#[test]
fn what_is_no_json_is_told_apart() {
    for text in ["", "{", r#"{"name":"a"} x"#, "{'name':1}", "\u{feff}{}", r#"{"name":"a",}"#] {
        assert_eq!(field_of::<NewFlow>(text), (Code::MalformedJson, None), "{text}");
    }
    assert_eq!(from_json::<NewFlow>(b"{\"name\":\"\xff\"}").err().unwrap().code(), Code::MalformedJson);
    assert_eq!(field_of::<NewFlow>(&"[".repeat(10_000)), (Code::MalformedJson, None));
    let deep = format!("{{\"a\":{}", "[".repeat(10_000));
    assert_eq!(field_of::<serde_json::Value>(&deep).0, Code::MalformedJson);
}

#[test]
fn a_query_is_read_as_strictly() {
    let ask = |query: &str| from_query::<Asked>(&format!("/manage?{query}").parse().unwrap());
    assert!(ask("").is_ok());
    assert!(ask("status=RUNNING&limit=3&flowId=00000000-0000-0000-0000-000000000000").is_ok());
    for (query, field) in [
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("limit=70000", "limit"),
        ("status=running", "status"),
        ("flowId=x", "flowId"),
        ("flowid=x", "flowid"),
    ] {
        let problem = ask(query).unwrap_err();
        assert_eq!((problem.code(), problem.field()), (Code::InvalidInput, Some(field)), "{query}");
    }
}

#[test]
fn a_list_is_filtered_and_has_one_to_five_hundred_at_a_time() {
    let ask = |query: &str| listed::<Filter>(&format!("/manage?{query}").parse().unwrap());
    let Listed(filter, page) = ask("").unwrap();
    assert_eq!((filter.status, page), (None, PageRequest::default()));
    let Listed(filter, page) = ask("limit=500&status=RUNNING&after=a%26b+c").unwrap();
    assert_eq!(filter.status, Some(SessionStatus::Running));
    assert_eq!(page, PageRequest { limit: 500, after: Some("a&b c".to_owned()) });
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=65535", "limit"),
        ("limit=70000", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=1", "limit"),
        ("after=1&after=1", "after"),
        ("status=running", "status"),
        ("offset=1", "offset"),
        ("Limit=1", "Limit"),
    ] {
        let problem = ask(query).err().unwrap();
        assert_eq!((problem.code(), problem.field()), (Code::InvalidInput, Some(field)), "{query}");
    }
}

#[test]
fn the_media_type_is_json_whatever_its_parameters() {
    let with = |value: &str| HeaderMap::from_iter([(CONTENT_TYPE, value.parse().unwrap())]);
    for good in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=y"] {
        assert!(is_json(&with(good)), "{good}");
    }
    for wrong in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json", ""] {
        assert!(!is_json(&with(wrong)), "{wrong}");
    }
    assert!(!is_json(&HeaderMap::new()));
}
