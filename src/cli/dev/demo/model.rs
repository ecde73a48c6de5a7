//! Which model the demonstration asks: a real one where a key is at hand, else the scripted one.

use crate::cli::{env::Env, exit::BadUse};

/// Provider, the variable with its key, and a model that is cheap and good enough.
const WITH_KEYS: [(&str, &str, &str); 4] = [
    ("openai", "OPENAI_API_KEY", "gpt-4o-mini"),
    ("anthropic", "ANTHROPIC_API_KEY", "claude-haiku-4-5"),
    ("groq", "GROQ_API_KEY", "llama-3.1-8b-instant"),
    ("gemini", "GEMINI_API_KEY", "gemini-2.5-flash"),
];

/// Answered inside the process, always the same, at an invented price.
const SCRIPTED: (&str, &str) = ("scripted", "scripted-small");

/// Providers that answer without a key, and may cost nothing.
const WITHOUT_KEYS: [&str; 2] = ["ollama", "scripted"];

#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    pub provider: String,
    pub model: String,
    /// For the locker. A provider that asks for none gets a stand-in, so that the locker is seen at work.
    pub key: String,
    /// Why this one, for the reader.
    pub why: String,
}

impl Choice {
    /// Whether a finished task must have cost something: a local model is free.
    pub fn has_a_price(&self) -> bool {
        self.provider != "ollama"
    }
}

/// `MODEL=provider/model` decides, then the first key found.
///
/// # Errors
/// `MODEL` is malformed, or its provider's key is not set.
pub fn choose(env: &Env) -> Result<Choice, BadUse> {
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
    if let Some(wish) = set("MODEL") {
        let Some((provider, model)) = wish.split_once('/').filter(|(p, m)| !p.is_empty() && !m.is_empty()) else {
            return Err(BadUse(format!("MODEL: `{wish}` is not provider/model, as in ollama/llama3.2")));
        };
        let variable = format!("{}_API_KEY", provider.to_uppercase());
        let key = match set(&variable) {
            Some(key) => key.clone(),
            None if WITHOUT_KEYS.contains(&provider) => stand_in(provider),
            None => return Err(BadUse(format!("MODEL asks for {provider}, which needs its key in {variable}"))),
        };
        let why = format!("MODEL={wish}");
        return Ok(Choice { provider: provider.to_owned(), model: model.to_owned(), key, why });
    }
    let found = WITH_KEYS.into_iter().find_map(|(provider, name, model)| Some((provider, name, model, set(name)?)));
    Ok(match found {
        Some((provider, name, model, key)) => Choice {
            provider: provider.to_owned(),
            model: model.to_owned(),
            key: key.clone(),
            why: format!("{name} is set"),
        },
        None => Choice {
            provider: SCRIPTED.0.to_owned(),
            model: SCRIPTED.1.to_owned(),
            key: stand_in(SCRIPTED.0),
            why: "no model's key is set, so the answers are scripted and the prices invented".to_owned(),
        },
    })
}

fn stand_in(provider: &str) -> String {
    format!("{provider}-needs-no-key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_with(env: &[(&str, &str)]) -> Result<Choice, BadUse> {
        choose(&env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn keys_decide_and_the_scripted_model_is_the_last_resort() {
        let choice = choose_with(&[]).unwrap();
        assert_eq!((choice.provider.as_str(), choice.model.as_str()), SCRIPTED);
        let choice = choose_with(&[("GROQ_API_KEY", "g"), ("OPENAI_API_KEY", "")]).unwrap();
        assert_eq!((choice.provider.as_str(), choice.key.as_str()), ("groq", "g"));
    }

    #[test]
    fn the_wish_wins_and_names_what_is_missing() {
        let choice = choose_with(&[("MODEL", "openrouter/meta/llama"), ("OPENROUTER_API_KEY", "k")]).unwrap();
        assert_eq!((choice.provider.as_str(), choice.model.as_str()), ("openrouter", "meta/llama"));
        assert!(!choose_with(&[("MODEL", "ollama/llama3.2")]).unwrap().has_a_price());
        assert!(choose_with(&[("MODEL", "openai/gpt-4o")]).unwrap_err().0.contains("OPENAI_API_KEY"));
        assert!(choose_with(&[("MODEL", "gpt-4o")]).unwrap_err().0.contains("provider/model"));
    }
}
