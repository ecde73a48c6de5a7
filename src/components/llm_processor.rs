//! `LLMProcessor`: one question to a model, with other models to fall back on.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::{
    Component, ComponentError, Context,
    model::{self, Checked, choice, schema::Schema},
    settings::Settings,
};
use crate::{
    catalog::components::{self, ComponentSpec},
    providers::Request,
};

#[derive(Debug)]
pub struct LLMProcessor;

#[async_trait]
impl Component for LLMProcessor {
    fn spec(&self) -> &'static ComponentSpec {
        &components::LLM_PROCESSOR
    }

    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        let settings = Settings::of(&components::LLM_PROCESSOR, config)?;
        let schema = match settings.value("response_schema") {
            Some(source) => Some(Schema::compile(context, "response_schema", source).await?),
            None => None,
        };
        let mut request = Request {
            prompt: settings.required_prose("prompt_template")?,
            response_schema: schema.as_ref().map(|schema| schema.source.clone()),
            ..model::question(&settings)?
        };
        let choices = choice::choices(context, &settings)?;
        let checked = model::ask_checked(context, &choices, &mut request, schema.as_ref()).await?;
        Ok(output(checked))
    }
}

fn output(checked: Checked) -> Value {
    let Checked { reply, json, bill, corrected } = checked;
    let completion = reply.answered.completion;
    let mut output = json!({
        "content": completion.content,
        "model": completion.model,
        "provider": reply.answered.provider,
        "usage": bill.usage_json(),
        "cost_usd": bill.cost,
        "fallback_used": reply.nth > 0,
        "finish_reason": completion.finish_reason,
    });
    if let Some(json) = json {
        output["json"] = json;
        output["corrected"] = corrected.into();
    }
    output
}
