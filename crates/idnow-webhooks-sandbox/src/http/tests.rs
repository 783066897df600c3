use std::collections::BTreeSet;

use super::*;

/// The paths that the router really has, as its `Debug` tells; without those of the fallback.
fn routed() -> BTreeSet<String> {
    let router = routes(Router::from(session_api::router()), Router::from(manage::router()));
    let shown = format!("{router:?}");
    let paths = shown.split('"').filter(|text| text.starts_with('/') && *text != "/" && !text.contains("{*"));
    let paths: BTreeSet<String> = paths.map(str::to_owned).collect();
    assert!(paths.contains("/openapi.json"), "{shown}");
    paths
}

#[test]
fn every_route_is_in_the_document_and_the_other_way_round() {
    let documented: BTreeSet<String> = document().paths.paths.keys().cloned().collect();
    assert_eq!(routed(), documented);
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_it_does() {
    let document = serde_json::to_value(document()).unwrap();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{method} {path}");
        }
    }
    assert!(names.len() > 25, "{names:?}");
}
