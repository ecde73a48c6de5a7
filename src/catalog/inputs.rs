//! A task's inputs against what its recipe asks for.

use serde_json::{Map, Value};

use super::{
    model::{InputSpec, InputType, Validation},
    problem::{Problem, suggestion},
};

/// All inputs of a task together, as JSON.
const MAX_BYTES: usize = 256 * 1024;

/// The inputs as templates see them: defaults filled in, and null for what is
/// optional and was not given.
///
/// # Errors
/// Every fault, with its path: `inputs.max_depth`.
pub fn check(specs: &[InputSpec], given: Value) -> Result<Map<String, Value>, Vec<Problem>> {
    let mut given = match given {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        _ => return Err(vec![Problem::new("inputs", "expected an object of names and values")]),
    };
    let bytes = size(&given);
    if bytes > MAX_BYTES {
        let message =
            format!("{bytes} bytes as JSON; at most {MAX_BYTES} are accepted: hand over an address to fetch from");
        return Err(vec![Problem::new("inputs", message)]);
    }
    let mut problems = Vec::new();
    let mut inputs = Map::new();
    for spec in specs {
        let name = spec.name.as_str();
        // A null is the same as nothing: forms send it for an empty field.
        match given.remove(name).filter(|value| !value.is_null()).or_else(|| spec.default.clone()) {
            Some(value) => {
                let value = whole_number(spec, value);
                problems.extend(faults(spec, &value).into_iter().map(|message| problem(name, message)));
                inputs.insert(name.to_owned(), value);
            }
            None if spec.required => {
                let hint = spec.description.as_ref().map_or_else(String::new, |text| format!(" ({text})"));
                problems.push(problem(name, format!("is required: give a value of type {}{hint}", spec.kind.as_str())));
            }
            None => {
                inputs.insert(name.to_owned(), Value::Null);
            }
        }
    }
    for name in given.keys() {
        let near = suggestion(name, specs.iter().map(|spec| spec.name.as_str()));
        problems.push(problem(name, format!("the recipe has no input `{name}`{near}")));
    }
    if problems.is_empty() { Ok(inputs) } else { Err(problems) }
}

/// Bytes as JSON, escapes aside; nothing is written out for it.
fn size(map: &Map<String, Value>) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len() + 2,
            Value::Array(items) => items.iter().map(|item| of(item) + 1).sum::<usize>() + 2,
            Value::Object(map) => size(map),
            _ => 8,
        }
    }
    map.iter().map(|(name, value)| name.len() + 4 + of(value)).sum::<usize>() + 2
}

fn problem(name: &str, message: String) -> Problem {
    Problem::new(format!("inputs.{name}"), message)
}

/// `3.0` is the integer 3: JSON knows one kind of number.
fn whole_number(spec: &InputSpec, value: Value) -> Value {
    match (spec.kind, value.as_f64()) {
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53, so exact")]
        (InputType::Integer, Some(float)) if value.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
            Value::from(float as i64)
        }
        _ => value,
    }
}

/// What is wrong with one value of one input. Also used on a recipe's defaults.
#[must_use]
pub fn faults(spec: &InputSpec, value: &Value) -> Vec<String> {
    if !has_type(spec.kind, value) {
        return vec![format!("expected a value of type {}, found {}", spec.kind.as_str(), shown(value))];
    }
    let mut faults = Vec::new();
    if let (Some(range), Some(number)) = (&spec.range, value.as_f64())
        && (Some(number) < range.0.as_f64() || Some(number) > range.1.as_f64())
    {
        faults.push(format!("{value} is out of range: give a number from {} to {}", range.0, range.1));
    }
    if let Some(values) = &spec.values
        && !values.iter().any(|allowed| same(allowed, value))
    {
        let allowed: Vec<String> = values.iter().map(shown).collect();
        faults.push(format!("{} is not one of {}", shown(value), allowed.join(", ")));
    }
    if let (Some(max), Some(length)) = (spec.max_length, length(value))
        && length > max
    {
        faults.push(format!("is {length} long; at most {max} are accepted"));
    }
    if let Value::String(text) = value
        && let Err(message) = validate(spec.validation, text)
    {
        faults.push(message);
    }
    faults
}

fn has_type(kind: InputType, value: &Value) -> bool {
    match kind {
        InputType::String => value.is_string(),
        InputType::Integer => value.is_i64() || value.is_u64(),
        InputType::Float => value.is_number(),
        InputType::Boolean => value.is_boolean(),
        InputType::Array => value.is_array(),
        InputType::Object => value.is_object(),
    }
}

/// Equal, 3 and 3.0 being the same.
fn same(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && a.as_f64() == b.as_f64())
}

fn length(value: &Value) -> Option<u64> {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => return None,
    };
    u64::try_from(length).ok()
}

fn validate(validation: Validation, text: &str) -> Result<(), String> {
    let valid = match validation {
        Validation::None => true,
        Validation::Url => is_web_address(text),
        Validation::Email => is_email(text),
        Validation::Uuid => uuid::Uuid::parse_str(text).is_ok(),
    };
    let example = match validation {
        Validation::None => "",
        Validation::Url => "an http or https address such as https://example.com",
        Validation::Email => "an e-mail address such as ann@example.com",
        Validation::Uuid => "a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057",
    };
    if valid { Ok(()) } else { Err(format!("{} is not {example}", shown(&Value::from(text)))) }
}

fn is_web_address(text: &str) -> bool {
    text.len() <= 2_048
        && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
}

/// One `@`, something before it, and a host after it. Only a message can tell more.
fn is_email(text: &str) -> bool {
    let plain =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@');
    text.len() <= 320
        && text.rsplit_once('@').is_some_and(|(name, host)| {
            plain(name) && plain(host) && !host.starts_with('.') && !host.ends_with('.') && !host.contains("..")
        })
}

/// The value for a message, cut short.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { format!("{}...", text.chars().take(57).collect::<String>()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn specs() -> Vec<InputSpec> {
        serde_json::from_value(json!([
            {"name": "website_url", "type": "string", "required": true, "validation": "url"},
            {"name": "max_depth", "type": "integer", "required": false, "default": 3, "range": [1, 10]},
            {"name": "tone", "type": "string", "required": false, "enum": ["dry", "warm"], "max_length": 4},
            {"name": "mail", "type": "string", "required": false, "validation": "email"},
            {"name": "tags", "type": "array", "required": false, "max_length": 2},
        ]))
        .unwrap()
    }

    #[test]
    fn fills_in_what_was_not_given() {
        let inputs = check(&specs(), json!({"website_url": "https://example.com", "tone": null})).unwrap();
        let expected =
            json!({"website_url": "https://example.com", "max_depth": 3, "tone": null, "mail": null, "tags": null});
        assert_eq!(Value::Object(inputs), expected);
        let inputs = check(&specs(), json!({"website_url": "http://a.b:8080/x", "max_depth": 4.0})).unwrap();
        assert_eq!(inputs["max_depth"], json!(4));
    }

    #[test]
    fn reports_every_fault_at_once() {
        let given = json!({"max_depth": 11, "tone": "angry", "mail": "a@b@c", "tags": [1, 2, 3], "depth": 1});
        let problems = check(&specs(), given).unwrap_err();
        let found: Vec<(&str, bool)> = problems
            .iter()
            .map(|p| {
                (
                    p.path.as_str(),
                    ["required", "out of range", "not one of", "long", "e-mail", "no input"]
                        .iter()
                        .any(|w| p.message.contains(w)),
                )
            })
            .collect();
        let paths =
            ["website_url", "max_depth", "tone", "tone", "mail", "tags", "depth"].map(|n| format!("inputs.{n}"));
        assert_eq!(found.iter().map(|(path, _)| *path).collect::<Vec<_>>(), paths);
        assert!(found.iter().all(|(_, known)| *known), "{problems:?}");
    }

    #[test]
    fn types_and_addresses() {
        for bad in [
            json!(1),
            json!(["x"]),
            json!("ftp://x.y"),
            json!("example.com"),
            json!("javascript:alert(1)"),
            json!("http://"),
        ] {
            assert!(check(&specs(), json!({"website_url": bad})).is_err(), "{bad}");
        }
        for bad in [json!("3"), json!(2.5), json!(true)] {
            let problems = check(&specs(), json!({"website_url": "https://a.b", "max_depth": bad})).unwrap_err();
            assert!(problems[0].message.contains("integer"), "{problems:?}");
        }
        assert!(check(&specs(), json!([1])).is_err());
        for bad in ["", "a", "@b", "a@", "a b@c", "a@b..c"] {
            assert!(!is_email(bad), "{bad}");
        }
        assert!(is_email("ann.o'hara+x@mail.example.com"));
    }

    #[test]
    fn all_inputs_together_are_bounded() {
        let specs: Vec<InputSpec> = serde_json::from_value(json!([{"name": "text", "type": "string"}])).unwrap();
        assert!(check(&specs, json!({"text": "x".repeat(MAX_BYTES - 100)})).is_ok());
        let problems = check(&specs, json!({"text": "x".repeat(MAX_BYTES)})).unwrap_err();
        assert!(problems[0].path == "inputs" && problems[0].message.contains("at most 262144"), "{problems:?}");
    }
}
