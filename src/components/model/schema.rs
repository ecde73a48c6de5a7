//! JSON out of a model's answer, checked against a schema.

use std::sync::Arc;

use serde_json::Value;

use super::super::{ComponentError, Context, settings::wrong};
use crate::base::{json_schema::BoundedSchema, weight};

/// Problems that are told of one answer.
const MAX_PROBLEMS: usize = 5;

/// A schema, and the config key that it stands in.
#[derive(Debug, Clone)]
pub struct Schema {
    validator: Arc<BoundedSchema>,
    pub source: Value,
    key: &'static str,
}

/// Why an answer does not follow the schema.
#[derive(Debug)]
pub struct Misfit {
    /// For the model and for a person.
    pub problems: String,
    /// Where in the schema the first problem is: `/properties/score/maximum`.
    path: String,
    /// `max_tokens` ended it: asking again changes nothing.
    pub cut: bool,
    key: &'static str,
}

impl Schema {
    /// # Errors
    /// As [`Schema::compiled`], or it takes too long.
    pub async fn compile(context: &Context<'_>, key: &'static str, schema: &Value) -> Result<Self, ComponentError> {
        let schema = schema.clone();
        let compiled = context.apart.run(context.runtime.agency_id, move || Self::compiled(key, &schema)).await;
        compiled.unwrap_or_else(|why| Err(wrong(key, format!("cannot be compiled: {why}; make it smaller"))))
    }

    /// The JSON of the answer.
    ///
    /// # Errors
    /// There is none, or it does not fit, or that takes too long to find out.
    pub async fn read(
        &self,
        context: &Context<'_>,
        answer: &str,
        finish_reason: Option<&str>,
    ) -> Result<Value, Misfit> {
        let (schema, key) = (self.clone(), self.key);
        let (answer, reason) = (answer.to_owned(), finish_reason.map(str::to_owned));
        let work = move || schema.read_now(&answer, reason.as_deref());
        context.apart.run(context.runtime.agency_id, work).await.unwrap_or_else(|why| {
            let problems = format!("it cannot be checked against the schema: {why}; make the schema simpler");
            Err(Misfit { problems, path: String::new(), cut: true, key })
        })
    }

    /// # Errors
    /// `config.KEY` is not a JSON Schema, or refers to one elsewhere.
    fn compiled(key: &'static str, schema: &Value) -> Result<Self, ComponentError> {
        if !schema.is_object() {
            return Err(wrong(key, "must be a JSON Schema, which is a mapping"));
        }
        let validator = BoundedSchema::compile(schema).map_err(|why| wrong(key, why))?;
        Ok(Self { validator: Arc::new(validator), source: schema.clone(), key })
    }

    fn read_now(&self, content: &str, finish_reason: Option<&str>) -> Result<Value, Misfit> {
        let misfit = |problems: String, path: String, cut| Misfit { problems, path, cut, key: self.key };
        if weight::of_json(content.as_bytes()) > 2 * weight::MOST {
            return Err(misfit("it has too many values".to_owned(), String::new(), false));
        }
        let Some(value) = find(content) else {
            let cut = matches!(finish_reason, Some("length" | "max_tokens" | "MAX_TOKENS"));
            let why = if cut { "it was cut off at max_tokens; raise config.max_tokens" } else { "it contains no JSON" };
            return Err(misfit(why.to_owned(), String::new(), cut));
        };
        let told = |error: jsonschema::ValidationError<'_>| {
            let problem = format!("{}: {error}", place(&error.instance_path().to_string()));
            (problem, error.schema_path().to_string())
        };
        let found = self.validator.problems(&value, MAX_PROBLEMS);
        let found = found.map_err(|why| misfit(format!("it {why}"), String::new(), false))?;
        let errors = found.into_iter().map(told);
        let (problems, mut paths): (Vec<_>, Vec<_>) = errors.unzip();
        if problems.is_empty() { Ok(value) } else { Err(misfit(problems.join("; "), paths.swap_remove(0), false)) }
    }
}

impl Misfit {
    /// What the model is told, once.
    pub fn correction(&self) -> String {
        format!(
            "Your answer does not follow the JSON Schema: {}. Answer again with the corrected JSON value and nothing \
             else.",
            self.problems
        )
    }
}

/// `schema_mismatch`. The model had its second chance; a third costs the same and
/// rarely differs. The field names the place in the schema.
impl From<Misfit> for ComponentError {
    fn from(misfit: Misfit) -> Self {
        let Misfit { problems, path, key, .. } = misfit;
        let at = if path.is_empty() { String::new() } else { format!(" at {path}") };
        let message = format!("the model's answer does not follow config.{key}{at}: {problems}");
        Self::new("schema_mismatch", message).field(format!("config.{key}{path}"))
    }
}

fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "the whole" } else { pointer }
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
        let source = json!({
            "type": "object",
            "required": ["score"],
            "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 10}}
        });
        Schema::compiled("response_schema", &source).unwrap()
    }

    #[test]
    fn finds_json_where_models_put_it() {
        for text in [
            "{\"score\": 3}",
            "```json\n{\"score\": 3}\n```",
            "Here it is:\n```\n{\"score\": 3}\n```\nGood luck [1].",
            "Sure {thing}: {\"score\": 3} as asked",
        ] {
            assert_eq!(schema().read_now(text, None).unwrap(), json!({"score": 3}), "{text}");
        }
    }

    #[test]
    fn says_what_does_not_fit_and_where_in_the_schema() {
        for (text, words, at) in [
            ("I cannot do that", "contains no JSON", ""),
            ("{\"score\": 30}", "/score: 30 is greater than", "/properties/score/maximum"),
            ("{}", "the whole: \"score\" is a required property", "/required"),
            ("[]", "not of type", "/type"),
        ] {
            let misfit = schema().read_now(text, Some("stop")).unwrap_err();
            assert!(misfit.correction().contains(words) && !misfit.cut, "{text}: {misfit:?}");
            let error = ComponentError::from(misfit);
            assert_eq!((error.code, error.field), ("schema_mismatch", Some(format!("config.response_schema{at}"))));
            assert!(error.message.contains(words) && error.message.contains(at), "{text}: {}", error.message);
        }
        let cut = schema().read_now("{\"score\":", Some("length")).unwrap_err();
        assert!(cut.cut && cut.problems.contains("raise config.max_tokens"));
    }

    #[test]
    fn a_bad_schema_is_a_bad_config() {
        for bad in [json!("x"), json!({"type": "wrong"}), json!({"$ref": "https://example.com/schema.json"})] {
            let error = Schema::compiled("response_schema", &bad).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("config.response_schema"), "{error}");
        }
    }
}
