//! Which models are asked, in which order.

use std::{fmt, sync::Arc};

use super::super::{
    ComponentError, Context,
    settings::{Settings, wrong},
};
use crate::{catalog::destination, providers::Provider};

/// A provider and its own name for a model.
pub struct Choice {
    pub provider: Arc<dyn Provider>,
    pub model: String,
    /// Whether the node's `secrets.api_key` is meant for this provider.
    pub takes_own_key: bool,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider.name(), self.model)
    }
}

/// The model of the node, else of the agent or agency; then the fallbacks. A
/// name that cannot be resolved is an error even where it would not be needed.
pub fn choices(context: &Context<'_>, settings: &Settings<'_>) -> Result<Vec<Choice>, ComponentError> {
    if context.secrets.iter().any(|secret| secret.local == "api_key")
        && !destination::fixes_provider(&context.node.config)
    {
        return Err(wrong(
            "model",
            "comes from a page or an answer, and the node has secrets.api_key; write config.provider out",
        ));
    }
    let own = settings.text("model")?.filter(|model| !model.trim().is_empty());
    let provider = settings.text("provider")?.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    let (model, provider) = match (own, &context.runtime.default_model) {
        (Some(model), _) => (model, provider),
        (None, Some(model)) => (model.clone(), provider.or_else(|| context.runtime.default_provider.clone())),
        (None, None) => {
            let remedy = "set it, or the agent's model, or the agency's default model";
            return Err(wrong("model", format!("is not set and there is no default; {remedy}")));
        }
    };
    let mut choices = vec![choose(context, "model", &model, provider.as_deref(), None)?];
    for key in ["fallback_model", "fallback_models"] {
        for model in settings.texts(key)?.unwrap_or_default() {
            choices.push(choose(context, key, &model, None, provider.as_deref())?);
        }
    }
    // The node's own key is for the provider that the author named; a fallback elsewhere has its own in the locker.
    let first = choices.first().map(|choice| choice.provider.name().to_owned());
    for choice in &mut choices {
        choice.takes_own_key = first.as_deref() == Some(choice.provider.name());
    }
    Ok(choices)
}

/// `given` is the provider for certain. Without one `provider/model` names both,
/// and a bare model is looked up in the price book; one that is not there goes to
/// `otherwise`, else to the default provider.
fn choose(
    context: &Context<'_>,
    key: &str,
    text: &str,
    given: Option<&str>,
    otherwise: Option<&str>,
) -> Result<Choice, ComponentError> {
    let text = text.trim();
    if let Some(name) = given {
        let found = context.providers.get(name).ok_or_else(|| unknown_provider(context, "provider", name))?;
        let model = text.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text);
        return Ok(Choice { provider: found, model: model.to_owned(), takes_own_key: false });
    }
    if let Some((name, model)) = text.split_once('/')
        && !model.is_empty()
        && let Some(found) = context.providers.get(name)
    {
        return Ok(Choice { provider: found, model: model.to_owned(), takes_own_key: false });
    }
    let rest = || otherwise.map(str::to_owned).or_else(|| context.runtime.default_provider.clone());
    if let Some(name) = context.keys.provider_of(text).or_else(rest) {
        let found = context.providers.get(&name).ok_or_else(|| unknown_provider(context, key, &name))?;
        return Ok(Choice { provider: found, model: text.to_owned(), takes_own_key: false });
    }
    if let Some((name, _)) = text.split_once('/') {
        return Err(unknown_provider(context, key, name));
    }
    let remedy = "write it as provider/model, or set config.provider";
    Err(unknown_model(key, format!("names the model \"{text}\", which is not in the price book; {remedy}")))
}

fn unknown_provider(context: &Context<'_>, key: &str, name: &str) -> ComponentError {
    let known = context.providers.names().join(", ");
    unknown_model(key, format!("names the provider \"{name}\", which is not installed here; there is {known}"))
}

fn unknown_model(key: &str, why: String) -> ComponentError {
    ComponentError { code: "unknown_model", ..wrong(key, why) }
}
