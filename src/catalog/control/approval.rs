//! `Approval`: a question to people, answered through a form.

use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Config, Fault};
use crate::{
    base::json_schema::BoundedSchema,
    catalog::{
        components::{APPROVAL, QUESTION_TIMEOUT},
        model::Span,
    },
};

const ROLES: [&str; 2] = ["agency_admin", "team_member"];
const MAX_MESSAGE_CHARS: usize = 10_000;
const MAX_FORM_BYTES: usize = 32 * 1024;
const MAX_APPROVERS: usize = 50;

/// What is asked, of whom, and until when.
#[derive(Debug, Clone, PartialEq)]
pub struct Approval {
    pub message: String,
    /// JSON Schema of the answer.
    pub form: Option<Value>,
    pub timeout: Duration,
    /// Roles, ids, or e-mail addresses in small letters; empty for everybody who may run the task.
    pub approvers: Vec<String>,
}

impl Approval {
    /// # Errors
    /// Everything that is wrong with the config.
    pub fn read(config: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        let mut config = Config::new(&APPROVAL, config);
        config.require("message", "\"Publish this?\"");
        let message = config.text("message", MAX_MESSAGE_CHARS).unwrap_or_default().trim().to_owned();
        let form = form(&mut config);
        let timeout = timeout(&mut config).unwrap_or(QUESTION_TIMEOUT);
        let approvers = approvers(&mut config);
        config.finish(Self { message, form, timeout, approvers })
    }
}

fn form(config: &mut Config<'_>) -> Option<Value> {
    let form = config.value("form")?;
    if !form.is_object() {
        config.fault("form", "must be a JSON Schema, which is a mapping, such as {type: object, properties: {...}}");
        return None;
    }
    let bytes = form.to_string().len();
    if bytes > MAX_FORM_BYTES {
        config.fault("form", format!("has {bytes} bytes as JSON; at most {MAX_FORM_BYTES} are kept"));
        return None;
    }
    if let Err(error) = BoundedSchema::compile(form) {
        config.fault("form", error);
    }
    Some(form.clone())
}

fn timeout(config: &mut Config<'_>) -> Option<Duration> {
    let text = match config.value("timeout")? {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    match Span::parse(&text) {
        Ok(span) => Some(span.get()),
        Err(message) => {
            config.fault("timeout", message);
            None
        }
    }
}

fn approvers(config: &mut Config<'_>) -> Vec<String> {
    let Some(value) = config.value("approvers") else { return Vec::new() };
    let listed = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    if listed.is_empty() {
        config.fault("approvers", "is empty, so that nobody could decide; name somebody, or leave the key out");
    }
    if listed.len() > MAX_APPROVERS {
        config.fault("approvers", format!("has {} entries; at most {MAX_APPROVERS} are accepted", listed.len()));
    }
    let mut approvers = Vec::with_capacity(listed.len());
    for (index, item) in listed.iter().enumerate() {
        if let Some(approver) = item.as_str().map(str::trim).and_then(approver) {
            approvers.push(approver);
        } else {
            let message = format!(
                "{item} cannot decide: write a role ({}), an e-mail address or a user's id",
                ROLES.join(" or ")
            );
            config.faults.push(Fault { key: "approvers".to_owned(), index: Some(index), message });
        }
    }
    approvers
}

fn approver(text: &str) -> Option<String> {
    let is_address = text.len() <= 320
        && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
        && !text.contains(char::is_whitespace);
    (ROLES.contains(&text) || is_address || Uuid::parse_str(text).is_ok()).then(|| text.to_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: Value) -> Result<Approval, Vec<String>> {
        let Value::Object(config) = config else { panic!("a config is a mapping") };
        Approval::read(&config).map_err(|faults| faults.iter().map(Fault::path).collect())
    }

    #[test]
    fn a_full_config_is_read_and_a_short_one_has_defaults() {
        let read_full = read(json!({
            "message": "Publish?", "form": {"type": "object"}, "timeout": "2d",
            "approvers": ["agency_admin", "Ada@Example.com", "0197f3c0-0000-7000-8000-000000000000"],
        }));
        let full = read_full.unwrap();
        assert_eq!(full.timeout, Duration::from_hours(48));
        assert_eq!(full.approvers, ["agency_admin", "ada@example.com", "0197f3c0-0000-7000-8000-000000000000"]);
        let short = read(json!({"message": "Publish?", "form": null})).unwrap();
        assert_eq!((short.form, short.timeout, short.approvers.len()), (None, QUESTION_TIMEOUT, 0));
    }

    #[test]
    fn every_fault_names_its_key() {
        for (config, path) in [
            (json!({}), "config.message"),
            (json!({"message": " "}), "config.message"),
            (json!({"message": "x", "approver": "agency_admin"}), "config.approver"),
            (json!({"message": "x", "form": "yes"}), "config.form"),
            (json!({"message": "x", "form": {"type": "wrong"}}), "config.form"),
            (json!({"message": "x", "form": {"$ref": "https://example.com/schema.json"}}), "config.form"),
            (json!({"message": "x", "timeout": "soon"}), "config.timeout"),
            (json!({"message": "x", "approvers": []}), "config.approvers"),
            (json!({"message": "x", "approvers": ["agency_admin", "the boss"]}), "config.approvers[1]"),
        ] {
            assert_eq!(read(config.clone()).unwrap_err(), [path], "{config}");
        }
    }

    #[test]
    fn what_a_template_makes_up_is_read_when_it_is_there() {
        assert!(
            read(json!({"message": "{{ a.x }}", "timeout": "{{ inputs.t }}", "approvers": "{{ inputs.who }}"})).is_ok()
        );
    }
}
