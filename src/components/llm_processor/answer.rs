//! JSON out of a model's answer, checked against the recipe's schema.

use jsonschema::Validator;
use serde_json::Value;

use super::super::{ComponentError, Retry, settings::wrong};

/// Problems that are told of one answer.
const MAX_PROBLEMS: usize = 5;

#[derive(Debug)]
pub struct Schema(Validator);

impl Schema {
    /// # Errors
    /// `config.response_schema` is not a JSON Schema, or refers to one elsewhere.
    pub fn compile(schema: &Value) -> Result<Self, ComponentError> {
        if !schema.is_object() {
            return Err(wrong("response_schema", "must be a JSON Schema, which is a mapping"));
        }
        let compiled = jsonschema::validator_for(schema);
        compiled.map(Self).map_err(|error| wrong("response_schema", format!("is not a usable JSON Schema: {error}")))
    }

    /// The JSON of the answer.
    ///
    /// # Errors
    /// `schema_mismatch`: there is none, or it does not fit. A new answer may.
    pub fn read(&self, content: &str, finish_reason: Option<&str>) -> Result<Value, ComponentError> {
        let Some(value) = find(content) else {
            let cut = matches!(finish_reason, Some("length" | "max_tokens" | "MAX_TOKENS"));
            let why = if cut { "it was cut off at max_tokens; raise config.max_tokens" } else { "it holds no JSON" };
            return Err(mismatch(why));
        };
        let problems: Vec<_> = self
            .0
            .iter_errors(&value)
            .take(MAX_PROBLEMS)
            .map(|error| format!("{}: {error}", place(&error.instance_path().to_string())))
            .collect();
        if problems.is_empty() { Ok(value) } else { Err(mismatch(&problems.join("; "))) }
    }
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "the whole" } else { pointer }
}

fn mismatch(why: &str) -> ComponentError {
    ComponentError::new("schema_mismatch", format!("the model's answer does not follow config.response_schema: {why}"))
        .field("config.response_schema")
        .retry(Retry::May { after: None })
}

/// The answer as JSON: all of it, or what a code fence holds, or the first object
/// or array in the text.
fn find(content: &str) -> Option<Value> {
    let content = content.trim();
    if let Ok(value) = serde_json::from_str(content) {
        return Some(value);
    }
    let fenced = content.split("```").skip(1).step_by(2).find_map(|block| {
        let body = block.split_once('\n').map_or(block, |(_, body)| body);
        serde_json::from_str(body.trim()).ok()
    });
    fenced.or_else(|| first_value(content))
}

fn first_value(content: &str) -> Option<Value> {
    /// Places that are tried: braces in prose are not many.
    const MAX_STARTS: usize = 20;
    let starts = content.match_indices(['{', '[']).take(MAX_STARTS);
    starts
        .filter_map(|(at, _)| content.get(at..))
        .find_map(|rest| serde_json::Deserializer::from_str(rest).into_iter::<Value>().next()?.ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::compile(&json!({
            "type": "object",
            "required": ["score"],
            "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 10}}
        }))
        .unwrap()
    }

    #[test]
    fn finds_json_where_models_put_it() {
        for text in [
            "{\"score\": 3}",
            "```json\n{\"score\": 3}\n```",
            "Here it is:\n```\n{\"score\": 3}\n```\nGood luck [1].",
            "Sure {thing}: {\"score\": 3} as asked",
        ] {
            assert_eq!(schema().read(text, None).unwrap(), json!({"score": 3}), "{text}");
        }
    }

    #[test]
    fn says_what_does_not_fit() {
        for (text, words) in [
            ("I cannot do that", "holds no JSON"),
            ("{\"score\": 30}", "/score: 30 is greater than"),
            ("{}", "the whole: \"score\" is a required property"),
            ("[]", "not of type"),
        ] {
            let error = schema().read(text, Some("stop")).unwrap_err();
            assert_eq!((error.code, error.field.as_deref()), ("schema_mismatch", Some("config.response_schema")));
            assert!(error.message.contains(words), "{text}: {error}");
        }
        assert!(schema().read("{\"score\":", Some("length")).unwrap_err().message.contains("raise config.max_tokens"));
    }

    #[test]
    fn a_bad_schema_is_a_bad_config() {
        for bad in [json!("x"), json!({"type": "wrong"}), json!({"$ref": "https://example.com/schema.json"})] {
            let error = Schema::compile(&bad).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("config.response_schema"), "{error}");
        }
    }
}
