//! Asking for an answer that follows a JSON Schema, where the provider cannot be made to.

use serde_json::{Value, json};

/// What stands before a schema in a prompt; the simulator looks for it.
pub const MARKER: &str = "JSON Schema:\n";
/// The name given to the schema, and to the tool that stands for it.
pub const NAME: &str = "answer";

/// The instruction, added to the end of the system message.
pub fn with_instruction(system: Option<&str>, schema: &Value) -> String {
    let gap = if system.is_some_and(|text| !text.is_empty()) { "\n\n" } else { "" };
    format!(
        "{}{gap}Answer with one JSON value and nothing else, no code fence and no comment. It must follow this \
         {MARKER}{schema}",
        system.unwrap_or_default()
    )
}

/// Native modes and tools want an object at the top.
pub fn is_object(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("object")
}

/// OpenAI's `response_format`. Strict where the schema is within what strict
/// mode accepts; outside of it the provider would refuse the request.
pub fn response_format(schema: &Value) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": NAME, "schema": schema, "strict": is_strict(schema)}})
}

/// Strict mode: every object closed, every property required, basic keywords only.
fn is_strict(schema: &Value) -> bool {
    const KEYWORDS: [&str; 8] =
        ["type", "properties", "required", "additionalProperties", "items", "enum", "description", "anyOf"];
    let Some(map) = schema.as_object() else { return false };
    let nested = |key: &str| map.get(key).is_none_or(is_strict);
    let alternatives = map.get("anyOf").is_none_or(|list| list.as_array().is_some_and(|l| l.iter().all(is_strict)));
    map.keys().all(|key| KEYWORDS.contains(&key.as_str())) && nested("items") && alternatives && is_closed(schema)
}

fn is_closed(schema: &Value) -> bool {
    if schema.get("properties").is_none() {
        return !is_object(schema);
    }
    let Some(properties) = schema["properties"].as_object() else { return false };
    let required = schema.get("required").and_then(Value::as_array);
    schema.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.keys().all(|key| required.is_some_and(|list| list.iter().any(|name| name == key)))
        && properties.values().all(is_strict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_only_where_the_schema_is_closed() {
        let closed = json!({"type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {"a": {"type": "array", "items": {"type": "string"}}}});
        assert!(is_strict(&closed));
        let mut open = closed.clone();
        open["additionalProperties"] = json!(true);
        assert!(!is_strict(&open));
        let mut optional = closed.clone();
        optional["required"] = json!([]);
        assert!(!is_strict(&optional));
        let mut nested = closed.clone();
        nested["properties"]["a"]["items"] = json!({"type": "object"});
        assert!(!is_strict(&nested));
        let mut keyword = closed;
        keyword["properties"]["a"]["minItems"] = json!(1);
        assert!(!is_strict(&keyword));
    }

    #[test]
    fn the_instruction_ends_with_the_schema() {
        let text = with_instruction(Some("Be brief."), &json!({"type": "object"}));
        assert!(text.starts_with("Be brief.\n\nAnswer with one JSON value"));
        assert!(text.ends_with("JSON Schema:\n{\"type\":\"object\"}"));
        assert!(with_instruction(None, &json!({})).starts_with("Answer"));
    }
}
