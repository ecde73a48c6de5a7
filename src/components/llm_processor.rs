//! `LLMProcessor`: one question to a model, with other models to fall back on.
//!
//! - [`choice`]: which models are asked, in which order
//! - [`call`]: one call: key, ledger, time limit
//! - [`answer`]: JSON out of an answer, checked against a schema
//! - [`estimate`]: tokens of a prompt before it is sent

mod answer;
mod call;
mod choice;
mod estimate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use self::{
    answer::Schema,
    call::{Answered, Failure},
};
use super::{
    Component, ComponentError, Context, Retry,
    settings::{Settings, wrong},
};
use crate::providers::Request;

const KEYS: [&str; 10] = [
    "provider",
    "model",
    "fallback_model",
    "fallback_models",
    "temperature",
    "max_tokens",
    "system_message",
    "prompt_template",
    "response_schema",
    "timeout",
];

#[derive(Debug)]
pub struct LLMProcessor;

#[async_trait]
impl Component for LLMProcessor {
    fn name(&self) -> &'static str {
        "LLMProcessor"
    }

    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        let settings = Settings::new("LLMProcessor", config, &KEYS)?;
        let schema = settings.value("response_schema").map(Schema::compile).transpose()?;
        let mut request = question(&settings)?;
        let choices = choice::choices(context, &settings)?;
        let mut failures = Vec::new();
        for (nth, choice) in choices.iter().enumerate() {
            request.model.clone_from(&choice.model);
            match call::ask(context, choice, &request).await? {
                Ok(answered) => return output(&answered, nth > 0, schema.as_ref()),
                Err(failure) => failures.push(failure),
            }
        }
        Err(all_failed(&failures))
    }
}

fn question(settings: &Settings<'_>) -> Result<Request, ComponentError> {
    let second = Duration::from_secs(1);
    let max_tokens = settings.integer("max_tokens", 1..=1_000_000)?;
    Ok(Request {
        model: String::new(),
        system: settings.prose("system_message").filter(|text| !text.trim().is_empty()),
        prompt: settings.required_prose("prompt_template")?,
        temperature: settings.float("temperature", 0.0..=2.0)?,
        max_tokens: max_tokens.and_then(|tokens| u32::try_from(tokens).ok()),
        response_schema: settings.value("response_schema").cloned(),
        timeout: settings.duration("timeout", second / 10..=second * 1800)?.unwrap_or(second * 120),
    })
}

fn output(answered: &Answered, fallback_used: bool, schema: Option<&Schema>) -> Result<Value, ComponentError> {
    let Answered { provider, completion, cost } = answered;
    let mut usage = serde_json::to_value(completion.usage).unwrap_or_default();
    usage["total_tokens"] = json!(completion.usage.total());
    let mut output = json!({
        "content": completion.content,
        "model": completion.model,
        "provider": provider,
        "usage": usage,
        "cost_usd": cost,
        "fallback_used": fallback_used,
        "finish_reason": completion.finish_reason,
    });
    if let Some(schema) = schema {
        output["json"] = schema.read(&completion.content, completion.finish_reason.as_deref())?;
    }
    Ok(output)
}

/// One error out of all that went wrong. It may be tried again if any of them may.
fn all_failed(failures: &[Failure]) -> ComponentError {
    let later: Vec<_> = failures.iter().filter(|failure| matches!(failure.retry, Retry::May { .. })).collect();
    let Some(leading) = later.first().copied().or(failures.first()) else {
        return wrong("model", "names no model");
    };
    let message = match failures {
        [only] => only.message.clone(),
        several => {
            let each: Vec<_> =
                several.iter().map(|failure| format!("{}: {}", failure.model, failure.message)).collect();
            format!("none of the {} models answered. {}", several.len(), each.join("; "))
        }
    };
    let after = later.iter().filter_map(|failure| match failure.retry {
        Retry::May { after } => after,
        Retry::Never | Retry::Stop => None,
    });
    let retry = if later.is_empty() { Retry::Never } else { Retry::May { after: after.max() } };
    ComponentError::new(leading.code, message).field(leading.field).retry(retry)
}
