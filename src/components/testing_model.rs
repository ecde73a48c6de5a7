//! A model for the components' tests: asks for its tools, then gives the same answer.

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    base::{Metered, Usage},
    providers::{Completion, Heard, Provider, ProviderError, Request, Tool, ToolCall, Turn},
};

/// Asks for each tool once, `calls-<n>` n times in turn, and answers then. Where a schema is
/// set the answer follows it; that of `prose-<n>` from its n-th correction on.
#[derive(Debug)]
pub struct Obedient;

#[async_trait]
impl Provider for Obedient {
    fn name(&self) -> &'static str {
        "obedient"
    }

    fn needs_key(&self) -> bool {
        false
    }

    async fn complete(
        &self,
        request: &Request,
        _: Option<&SecretString>,
        _: &Heard,
    ) -> Result<Completion, ProviderError> {
        let number = |prefix| request.model.strip_prefix(prefix).and_then(|n| n.parse::<usize>().ok());
        let results = |turn: &Turn| if let Turn::Tools(results) = turn { results.len() } else { 0 };
        let results: usize = request.turns.iter().map(results).sum();
        let replies = request.turns.iter().filter(|turn| matches!(turn, Turn::Model { .. })).count();
        let calls = number("calls-").unwrap_or(request.tools.len());
        let tool = request.tools.get(results % request.tools.len().max(1));
        let tool = tool.filter(|_| results < calls && !request.answer_now);
        let content = match &request.response_schema {
            _ if tool.is_some() => String::new(),
            Some(schema) if replies >= number("prose-").unwrap_or(0) => following(schema).to_string(),
            _ => "They sell hats.".to_owned(),
        };
        Ok(Completion {
            content,
            tool_calls: tool.map(|tool| call(tool, &request.prompt, results)).into_iter().collect(),
            model: request.model.clone(),
            metered: Metered { usage: Usage { input: 5, output: 2, ..Usage::default() }, ..Metered::default() },
            request_id: None,
            finish_reason: None,
        })
    }

    async fn check_key(&self, _: &SecretString) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// With the prompt's own address where the tool wants one.
fn call(tool: &Tool, prompt: &str, nth: usize) -> ToolCall {
    let link = prompt.split_whitespace().find(|word| word.starts_with("http://"));
    let wants_url = tool.schema["properties"].get("url").is_some();
    let arguments = if wants_url { json!({"url": link}) } else { json!({"query": {}}) };
    ToolCall { id: format!("call_{nth}"), name: tool.name.clone(), arguments, signature: None }
}

/// What a schema requires, of numbers and texts.
fn following(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let value = |property: &Value| if property["type"] == "number" { json!(0.5) } else { json!("hats") };
    properties.map(|(name, property)| (name.clone(), value(property))).collect::<serde_json::Map<_, _>>().into()
}
