//! An agent's configuration: what its runs use where a recipe leaves it open.

use serde_json::{Map, Value};

use crate::tenancy::Invalid;

const MAX_BYTES: usize = 16_384;
const MAX_DEPTH: usize = 8;
const MAX_NAME_CHARS: usize = 200;
const MAX_TOKENS: u64 = 1_000_000;

/// A JSON object of at most 16 KiB. `provider`, `model`, `temperature` and
/// `max_tokens` have a meaning and are checked; other keys are the agency's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Configuration(Map<String, Value>);

impl Configuration {
    /// # Errors
    /// Too large, too deep, or a known key with a value out of range; with the
    /// key's path within the configuration.
    pub fn parse(object: Map<String, Value>) -> Result<Self, (String, Invalid)> {
        for (key, value) in &object {
            let problem = match key.as_str() {
                "provider" | "model" => check_name(value),
                "temperature" => check_temperature(value),
                "max_tokens" => check_max_tokens(value),
                _ => None,
            };
            if let Some(problem) = problem {
                return Err((format!(".{key}"), Invalid(problem.to_owned())));
            }
        }
        let whole = Value::Object(object);
        if whole.to_string().len() > MAX_BYTES {
            return Err((String::new(), Invalid(format!("must have at most {MAX_BYTES} bytes as JSON"))));
        }
        if depth(&whole) > MAX_DEPTH {
            return Err((String::new(), Invalid(format!("must be nested at most {MAX_DEPTH} deep"))));
        }
        match whole {
            Value::Object(object) if !has_nul(&object) => Ok(Self(object)),
            _ => Err((String::new(), Invalid("must not contain NUL characters".to_owned()))),
        }
    }

    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
}

fn check_name(value: &Value) -> Option<&'static str> {
    let fits = value.as_str().is_some_and(|name| !name.trim().is_empty() && name.chars().count() <= MAX_NAME_CHARS);
    (!fits).then_some("must be a string of 1 to 200 characters")
}

fn check_temperature(value: &Value) -> Option<&'static str> {
    let fits = value.as_f64().is_some_and(|number| (0.0..=2.0).contains(&number));
    (!fits).then_some("must be a number between 0 and 2")
}

fn check_max_tokens(value: &Value) -> Option<&'static str> {
    let fits = value.as_u64().is_some_and(|number| (1..=MAX_TOKENS).contains(&number));
    (!fits).then_some("must be an integer between 1 and 1000000")
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// PostgreSQL's jsonb takes no NUL.
fn has_nul(object: &Map<String, Value>) -> bool {
    fn inside(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(items) => items.iter().any(inside),
            Value::Object(object) => has_nul(object),
            _ => false,
        }
    }
    object.iter().any(|(key, value)| key.contains('\0') || inside(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Result<Configuration, (String, Invalid)> {
        let Value::Object(object) = value else { panic!("an object") };
        Configuration::parse(object)
    }

    #[test]
    fn known_keys_are_checked_and_others_kept() {
        assert!(parse(json!({"model": "gpt-4o-mini", "temperature": 0.2, "max_tokens": 100, "tone": ["dry"]})).is_ok());
        for (value, path) in [
            (json!({"provider": ""}), ".provider"),
            (json!({"model": 3}), ".model"),
            (json!({"temperature": 2.1}), ".temperature"),
            (json!({"temperature": "hot"}), ".temperature"),
            (json!({"max_tokens": 0}), ".max_tokens"),
            (json!({"max_tokens": 1.5}), ".max_tokens"),
        ] {
            assert_eq!(parse(value).unwrap_err().0, path);
        }
    }

    #[test]
    fn size_depth_and_characters_are_bounded() {
        assert!(parse(json!({"a": "x".repeat(16_000)})).is_ok());
        assert!(parse(json!({"a": "x".repeat(16_384)})).is_err());
        assert!(parse(json!({"a": [[[[[[[1]]]]]]]})).is_ok());
        assert!(parse(json!({"a": [[[[[[[[1]]]]]]]]})).is_err());
        assert!(parse(json!({"a": {"b": ["x\u{0}"]}})).is_err());
    }
}
