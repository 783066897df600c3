use std::collections::BTreeSet;
use std::sync::Mutex;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::Answer;

/// An OpenAPI document, and what has been seen of it.
pub(crate) struct Contract {
    pub(crate) document: Value,
    /// The schemas, with nothing allowed in answers that they do not name.
    strict: Value,
    seen: Mutex<BTreeSet<(String, u16)>>,
}

impl Contract {
    pub(crate) fn new(document: Value) -> Self {
        let mut strict = document["components"].clone();
        close(&mut strict);
        Self { document, strict, seen: Mutex::default() }
    }

    /// All operations: method, path, description.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (String, String, &Value)> {
        self.document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        })
    }

    /// Every answer that the document promises: operation and status.
    pub(crate) fn promised(&self) -> BTreeSet<(String, u16)> {
        let of_one = |(_, _, operation): (_, _, &Value)| {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            let statuses: Vec<u16> =
                operation["responses"].as_object().unwrap().keys().map(|key| key.parse().unwrap()).collect();
            statuses.into_iter().map(move |status| (name.clone(), status)).collect::<Vec<_>>()
        };
        self.operations().flat_map(of_one).collect()
    }

    /// Every answer that there was.
    pub(crate) fn seen(&self) -> BTreeSet<(String, u16)> {
        self.seen.lock().unwrap().clone()
    }

    /// Panics unless the document says that `method` on `path` may be answered like this.
    pub(crate) fn check(&self, method: &str, path: &str, sent: Option<&Value>, answer: &Answer) {
        let path = path.split('?').next().unwrap();
        let Some(operation) = self.operation(method, path) else {
            let code = answer.code();
            assert!(
                ["unknown_path", "method_not_allowed"].contains(&code.as_str()),
                "{method} {path}: {answer:?}"
            );
            assert_eq!(self.problems("Problem", &answer.json()), Vec::<String>::new());
            return;
        };
        let response = &operation["responses"][answer.status.as_u16().to_string()];
        assert!(response.is_object(), "{method} {path}: not documented: {answer:?}");
        for name in response["headers"].as_object().into_iter().flat_map(|headers| headers.keys()) {
            assert!(answer.headers.contains_key(name), "{method} {path}: without {name}: {answer:?}");
        }
        match response["content"].as_object() {
            None => assert!(answer.body.is_empty(), "{method} {path}: {answer:?}"),
            Some(content) => {
                let schema = content.get(answer.media_type()).map(|content| &content["schema"]);
                let schema = schema.unwrap_or_else(|| panic!("{method} {path}: not documented: {answer:?}"));
                let value = if answer.media_type().ends_with("json") {
                    answer.json()
                } else {
                    Value::String(answer.body.clone())
                };
                let problems = mismatches(&self.strict, schema, &value);
                assert!(problems.is_empty(), "{method} {path}: {problems:?} in {value:#}");
            }
        }
        if let (true, Some(sent)) = (answer.status.is_success(), sent) {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let problems = mismatches(&self.document["components"], schema, sent);
            assert!(
                problems.is_empty(),
                "{method} {path} took what is not documented: {problems:?} in {sent:#}"
            );
        }
        let name = operation["operationId"].as_str().unwrap().to_owned();
        self.seen.lock().unwrap().insert((name, answer.status.as_u16()));
    }

    /// What is wrong with `value` as one of the named schemas.
    pub(crate) fn problems(&self, schema: &str, value: &Value) -> Vec<String> {
        mismatches(&self.strict, &json!({ "$ref": format!("#/components/schemas/{schema}") }), value)
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let items = self.document["paths"].as_object().unwrap();
        // As the router: what is written out goes before what stands in braces.
        let fits = items.iter().filter(|(template, _)| fits(template, path));
        let (_, item) = fits.min_by_key(|(template, _)| template.matches('{').count())?;
        item.get(method.to_lowercase())
    }
}

fn mismatches(components: &Value, schema: &Value, value: &Value) -> Vec<String> {
    validator(components, schema).iter_errors(value).map(|error| error.to_string()).collect()
}

fn validator(components: &Value, schema: &Value) -> Validator {
    let whole = json!({ "allOf": [schema], "components": components });
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        .build(&whole)
        .unwrap()
}

fn fits(template: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found))
                if wanted == found || (wanted.starts_with('{') && !found.is_empty()) => {}
            _ => return false,
        }
    }
}

/// Forbids members that a schema does not name.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("type") == Some(&json!("object")) {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn the_check_itself_finds_what_is_wrong() {
    let flow = json!({
        "type": "object",
        "required": ["id"],
        "properties": { "id": { "type": "string", "format": "uuid" } },
    });
    let contract = Contract::new(json!({ "paths": {}, "components": { "schemas": { "Flow": flow } } }));
    assert!(contract.problems("Flow", &json!({ "id": "61a51c5b-480d-4f47-8334-34b0ba7ae0be" })).is_empty());
    for wrong in [json!({}), json!({ "id": 1 }), json!({ "id": "x" }), json!([])] {
        assert!(!contract.problems("Flow", &wrong).is_empty(), "{wrong}");
    }
    let more = json!({ "id": "61a51c5b-480d-4f47-8334-34b0ba7ae0be", "more": 1 });
    assert!(!contract.problems("Flow", &more).is_empty());
}
