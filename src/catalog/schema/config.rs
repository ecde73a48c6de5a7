//! JSON Schema of each component's `config`, made from the table of components.
//!
//! It is as wide as the component's own reading: a value may be `null`, or a template, and
//! a number may be written as text.

use serde_json::{Map, Value, json};

use crate::catalog::components::{ALL, ComponentSpec, Kind, Setting};

/// Text that has a template in it, or nothing.
const TEMPLATE_OR_BLANK: &str = r"\{\{|\{%|^\s*$";

/// Adds to the schema of a recipe what the table says: the components' names, and the
/// settings of each.
pub fn add(definitions: &mut Map<String, Value>) {
    let names: Vec<_> = ALL.iter().map(|spec| spec.name).collect();
    for spec in ALL {
        definitions.insert(definition(spec), config(spec));
    }
    definitions.insert("Tool".to_owned(), tool());
    let Some(node) = definitions.get_mut("Node").and_then(Value::as_object_mut) else { return };
    node.insert("allOf".to_owned(), ALL.iter().map(|spec| by_component(spec, true)).collect());
    if let Some(component) = node.get_mut("properties").and_then(|properties| properties.get_mut("component")) {
        *component = json!({"enum": names});
    }
}

fn definition(spec: &ComponentSpec) -> String {
    format!("{}Config", spec.name)
}

/// `config` is this component's where `component` names it.
fn by_component(spec: &ComponentSpec, is_whole: bool) -> Value {
    let required: Vec<_> = spec.settings().filter(|setting| setting.is_required).map(|setting| setting.key).collect();
    let mut then = json!({"properties": {"config": {"$ref": format!("#/$defs/{}", definition(spec))}}});
    // What a tool leaves out, the model chooses.
    if is_whole && !required.is_empty() {
        then["properties"]["config"]["required"] = json!(required);
        then["required"] = json!(["config"]);
    }
    json!({"if": {"properties": {"component": {"const": spec.name}}, "required": ["component"]}, "then": then})
}

fn config(spec: &ComponentSpec) -> Value {
    let properties: Map<_, _> = spec.settings().map(|setting| (setting.key.to_owned(), value(setting))).collect();
    json!({"type": "object", "description": spec.does, "properties": properties,
        "additionalProperties": spec.takes_labels})
}

fn value(setting: &Setting) -> Value {
    let (plain, default) = plain(&setting.kind);
    let mut schema = match plain {
        Value::Object(anything) if anything.is_empty() => json!({}),
        plain => json!({"anyOf": [plain, {"type": "string", "pattern": TEMPLATE_OR_BLANK}, {"type": "null"}]}),
    };
    schema["description"] = setting.says.into();
    if !default.is_null() {
        schema["default"] = default;
    }
    schema
}

/// What is written without a template, and the default.
fn plain(kind: &Kind) -> (Value, Value) {
    let as_text = |schema: Value, pattern: &str| json!({"anyOf": [schema, {"type": "string", "pattern": pattern}]});
    match kind {
        Kind::Prose | Kind::Anything => (json!({}), Value::Null),
        Kind::Text => (json!({"type": ["string", "number", "boolean"]}), Value::Null),
        Kind::Url => (json!({"type": "string"}), Value::Null),
        Kind::Integer { range, default } => {
            let schema = json!({"type": "integer", "minimum": range.start(), "maximum": range.end()});
            (as_text(schema, r"^\s*\+?[0-9]+\s*$"), json!(default))
        }
        Kind::Number { range } => {
            let schema = json!({"type": "number", "minimum": range.start(), "maximum": range.end()});
            (as_text(schema, r"^\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\s*$"), Value::Null)
        }
        Kind::Boolean { default } => {
            let words = any_case(&["true", "yes", "on", "1", "false", "no", "off", "0"]);
            (as_text(json!({"type": "boolean"}), &words), json!(default))
        }
        Kind::Duration { range, default } => {
            let (from, to) = (range.start().as_secs_f64(), range.end().as_secs_f64());
            let schema = json!({"type": "number", "minimum": from, "maximum": to});
            let default = default.map(|default| format!("{}ms", default.as_millis()));
            (as_text(schema, r"^\s*[0-9.]+\s*(ms|s|m|min|h|d)?\s*$"), json!(default))
        }
        Kind::Span { default } => (json!({"$ref": "#/$defs/Duration"}), json!(format!("{}s", default.as_secs()))),
        Kind::Word { words, default } => (as_text(json!({"enum": words}), &any_case(words)), json!(default)),
        Kind::Pairs => {
            let scalar = json!({"type": ["string", "number", "boolean", "null"]});
            (json!({"type": "object", "additionalProperties": scalar}), Value::Null)
        }
        Kind::Texts => {
            let scalar = ["string", "number", "boolean"];
            (json!({"type": ["array", "string", "number", "boolean"], "items": {"type": scalar}}), Value::Null)
        }
        Kind::Mapping | Kind::Schema => (json!({"type": "object"}), Value::Null),
        Kind::Tools => (json!({"type": "array", "items": {"$ref": "#/$defs/Tool"}}), Value::Null),
    }
}

/// A pattern of the words in capital or small letters. JSON Schema has no other way to say so.
fn any_case(words: &[&str]) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphabetic() {
            format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase())
        } else {
            c.to_string()
        }
    };
    let words: Vec<String> = words.iter().map(|word| word.chars().map(letter).collect()).collect();
    format!(r"^\s*({})\s*$", words.join("|"))
}

/// One entry of an agent's `tools`.
fn tool() -> Value {
    let tools: Vec<_> = ALL.into_iter().filter(|spec| spec.tool.is_some()).collect();
    let names: Vec<_> = tools.iter().map(|spec| spec.name).collect();
    let texts = json!({"type": ["array", "null"], "items": {"type": "string"}});
    json!({
        "type": "object",
        "description": "What an agent's model may use; whatever its config leaves open, the model chooses.",
        "properties": {
            "component": {"enum": names},
            "name": {"type": ["string", "null"], "pattern": "^[a-z][a-z0-9_]{0,39}$"},
            "description": {"type": ["string", "null"]},
            "config": {"type": ["object", "null"]},
            "hosts": texts,
            "secrets": texts,
        },
        "required": ["component"],
        "additionalProperties": false,
        "allOf": tools.iter().map(|spec| by_component(spec, false)).collect::<Vec<_>>(),
    })
}
