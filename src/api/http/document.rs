//! The OpenAPI document: what the framework writes, and what it cannot say.

use std::collections::BTreeSet;

use poem::http::Method;
use serde_json::{Map, Value, json};

const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// Completes the framework's document: bodies take no fields that they do not name,
/// and a field that may be left out may be null as well, coming and going.
#[must_use]
pub fn complete(document: &str) -> String {
    let Ok(mut document) = serde_json::from_str::<Value>(document) else { return document.to_owned() };
    let mut names = BTreeSet::new();
    for operation in operations(&document).map(|(_, _, operation)| operation) {
        references(&operation["requestBody"], &document, &mut names);
    }
    for name in names {
        let schema = document["components"]["schemas"].get_mut(&name).and_then(Value::as_object_mut);
        if let Some(schema) = schema.filter(|schema| schema.contains_key("properties")) {
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
    }
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flat_map(|all| all.values_mut()) {
        let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        for (_, field) in properties.into_iter().flatten().filter(|(name, _)| !required.contains(&json!(name))) {
            // What stands beside a reference is not read.
            if field.get("$ref").is_some() {
                *field = json!({"allOf": [field.take()]});
            }
            field["nullable"] = Value::Bool(true);
        }
    }
    name_idempotency_key(&mut document);
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

/// Every POST with a token takes the header: it is no handler's matter (see [`super::idempotency`]).
fn name_idempotency_key(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(|methods| methods.get_mut("post")) {
        if takes_no_token(operation) {
            continue;
        }
        let Some(operation) = operation.as_object_mut() else { continue };
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        if let Some(parameters) = parameters.as_array_mut() {
            parameters.retain(|parameter| parameter["name"] != "Idempotency-Key");
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header", "required": false, "deprecated": false, "explode": true,
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                "description": "Of your making, new for each request. The same request with the same key within 24 \
                                hours is done once: its answer is given again. Another request with the key is 422, \
                                one whose first is under way 409.",
            }));
        }
    }
}

/// The empty requirement is the specification's way to say that none is needed.
fn takes_no_token(operation: &Value) -> bool {
    let needs_nothing = |security: &Vec<Value>| security.iter().all(|one| one.as_object().is_some_and(Map::is_empty));
    operation["security"].as_array().is_none_or(needs_nothing)
}

/// Names of the schemas that a part of the document refers to, directly or through others.
fn references(part: &Value, document: &Value, names: &mut BTreeSet<String>) {
    match part {
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            if let Some(name) = name
                && names.insert(name.to_owned())
            {
                references(&document["components"]["schemas"][name], document, names);
            }
            map.values().for_each(|value| references(value, document, names));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, document, names)),
        _ => {}
    }
}

fn operations(document: &Value) -> impl Iterator<Item = (&String, Method, &Value)> {
    document["paths"].as_object().into_iter().flatten().flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().filter_map(move |(method, operation)| {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).ok()?;
            METHODS.contains(&method).then_some((path, method, operation))
        })
    })
}

/// What the document says about paths: which methods they take, and which take no token.
#[derive(Debug)]
pub struct Operations(Vec<Path>);

#[derive(Debug)]
struct Path {
    /// `None` for a parameter.
    segments: Vec<Option<String>>,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    method: Method,
    /// Empty for what is beside the document.
    id: String,
    /// Whether it takes no token.
    is_open: bool,
}

/// Paths beside the document.
const OTHERS: [&str; 6] = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/schemas/recipe.json", "/docs"];

impl Operations {
    /// Of [`complete`]'s document.
    #[must_use]
    pub fn read(document: &str) -> Self {
        let document: Value = serde_json::from_str(document).unwrap_or_default();
        let mut paths: Vec<Path> = Vec::new();
        for (path, method, operation) in operations(&document) {
            let segments = segments(path).map(|part| (!part.starts_with('{')).then(|| part.to_owned())).collect();
            let is_open = takes_no_token(operation);
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            let operation = Operation { method, id, is_open };
            match paths.iter_mut().find(|path| path.segments == segments) {
                Some(path) => path.operations.push(operation),
                None => paths.push(Path { segments, operations: vec![operation] }),
            }
        }
        for path in OTHERS {
            let segments = segments(path).map(|part| Some(part.to_owned())).collect();
            let operation = Operation { method: Method::GET, id: String::new(), is_open: false };
            paths.push(Path { segments, operations: vec![operation] });
        }
        Self(paths)
    }

    /// The methods that a path takes, as the header `Allow` lists them.
    #[must_use]
    pub fn allowed(&self, path: &str) -> Option<String> {
        let mut names: Vec<&str> = Vec::new();
        for Operation { method, .. } in self.matching(path) {
            names.push(method.as_str());
            if *method == Method::GET {
                names.push("HEAD");
            }
        }
        names.sort_unstable();
        names.dedup();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Whether a request needs no token: everyone may knock here, and is counted by address.
    #[must_use]
    pub fn is_open(&self, method: &Method, path: &str) -> bool {
        self.matching(path).any(|known| known.method == *method && known.is_open)
    }

    /// The operation that a request is for, if it takes a token.
    #[must_use]
    pub fn with_token(&self, method: &Method, path: &str) -> Option<&str> {
        let operation = self.matching(path).find(|known| known.method == *method && !known.is_open)?;
        Some(&operation.id)
    }

    fn matching(&self, path: &str) -> impl Iterator<Item = &Operation> {
        let asked: Vec<&str> = segments(path).collect();
        let fits = move |path: &&Path| {
            path.segments.len() == asked.len()
                && path.segments.iter().zip(&asked).all(|(known, asked)| known.as_deref().is_none_or(|k| k == *asked))
        };
        self.0.iter().filter(fits).flat_map(|path| &path.operations)
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_their_methods_and_which_are_open() {
        let operations = Operations::read(&crate::api::spec());
        assert_eq!(operations.allowed("/teams").as_deref(), Some("GET, HEAD, POST"));
        assert_eq!(operations.allowed("/teams/").as_deref(), Some("GET, HEAD, POST"));
        assert_eq!(operations.allowed("/teams/x").as_deref(), Some("DELETE, GET, HEAD, PATCH"));
        assert_eq!(operations.allowed("/subscriptions/usage").as_deref(), Some("GET, HEAD"));
        assert_eq!(operations.allowed("/healthz").as_deref(), Some("GET, HEAD"));
        assert_eq!(operations.allowed("/nowhere"), None);
        for (method, path, open) in [
            (Method::POST, "/auth/login", true),
            (Method::POST, "/auth/register", true),
            (Method::POST, "/auth/refresh", true),
            (Method::POST, "/auth/login/", true),
            (Method::GET, "/auth/login", false),
            (Method::GET, "/auth/me", false),
            (Method::POST, "/tasks", false),
            (Method::GET, "/healthz", false),
        ] {
            assert_eq!(operations.is_open(&method, path), open, "{method} {path}");
        }
    }

    #[test]
    fn bodies_take_no_fields_that_they_do_not_name() {
        let document: Value = serde_json::from_str(&crate::api::spec()).unwrap();
        let schemas = &document["components"]["schemas"];
        for name in ["LoginBody", "NewTaskBody", "SettingsBody"] {
            assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
        }
        assert_eq!(schemas["Task"].get("additionalProperties"), None, "an answer may grow");
    }

    #[test]
    fn what_may_be_left_out_may_be_null() {
        let document: Value = serde_json::from_str(&crate::api::spec()).unwrap();
        let task = &document["components"]["schemas"]["Task"]["properties"];
        assert_eq!((&task["finished_at"]["nullable"], task["id"].get("nullable")), (&Value::Bool(true), None));
        let settings = &document["components"]["schemas"]["AgencyBody"]["properties"]["settings"];
        assert_eq!(settings["allOf"][0]["$ref"], "#/components/schemas/SettingsBody");
        assert_eq!(settings["nullable"], true);
    }
}
