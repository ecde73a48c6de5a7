//! Prices in the layout of LiteLLM's `model_prices_and_context_window.json`.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::price::{NewPrice, Rates, long_tier};

/// The providers whose rows are taken: those that this program can call.
const PROVIDERS: [&str; 8] = ["openai", "anthropic", "gemini", "groq", "mistral", "deepseek", "openrouter", "ollama"];
/// Kinds of model that answer with text.
const MODES: [&str; 3] = ["chat", "completion", "responses"];

/// What a file held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    pub rows: Vec<NewPrice>,
    /// Models of other providers, of other kinds, or without a price for tokens.
    pub skipped: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("not in LiteLLM's layout: an object with a model's name for each key is expected")]
    Layout,
    #[error("{model}: {field}: `{value}` is not a price")]
    Price { model: String, field: String, value: String },
}

/// Prices that hold from `effective_from` on.
///
/// # Errors
/// The file is not in the layout, or a price in it is none.
pub fn parse(text: &[u8], effective_from: DateTime<Utc>) -> Result<Parsed, ParseError> {
    let Value::Object(models) = serde_json::from_slice(text)? else { return Err(ParseError::Layout) };
    if !models.values().all(Value::is_object) {
        return Err(ParseError::Layout);
    }
    let mut parsed = Parsed::default();
    for (key, fields) in models.iter().filter_map(|(key, value)| Some((key, value.as_object()?))) {
        let rows = rows_of(key, fields, effective_from)?;
        parsed.skipped += usize::from(rows.is_empty());
        // Some models stand there twice, with the provider's prefix and without.
        let fresh = rows.into_iter().filter(|row| !contains(&parsed.rows, row)).collect::<Vec<_>>();
        parsed.rows.extend(fresh);
    }
    Ok(parsed)
}

fn contains(rows: &[NewPrice], row: &NewPrice) -> bool {
    rows.iter().any(|other| (&other.provider, &other.model, &other.tier) == (&row.provider, &row.model, &row.tier))
}

fn rows_of(key: &str, fields: &Map<String, Value>, effective_from: DateTime<Utc>) -> Result<Vec<NewPrice>, ParseError> {
    let text = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default();
    let provider = text("litellm_provider");
    if key == "sample_spec" || !PROVIDERS.contains(&provider) || !MODES.contains(&text("mode")) {
        return Ok(Vec::new());
    }
    let model = key.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')).unwrap_or(key);
    let row = |tier: String, rates: Rates| NewPrice {
        provider: provider.to_owned(),
        model: model.to_owned(),
        tier,
        effective_from,
        rates,
        source: "LiteLLM model_prices_and_context_window.json".to_owned(),
    };
    let Some(base) = rates(key, fields, "")? else { return Ok(Vec::new()) };
    let mut rows = vec![row(String::new(), base)];
    for thousands in fields.keys().filter_map(|field| long_prompt(field)) {
        if let Some(long) = rates(key, fields, &format!("_above_{thousands}k_tokens"))? {
            rows.push(row(long_tier(thousands * 1000), long));
        }
    }
    Ok(rows)
}

/// The n of `input_cost_per_token_above_<n>k_tokens`.
fn long_prompt(field: &str) -> Option<u64> {
    field.strip_prefix("input_cost_per_token_above_")?.strip_suffix("k_tokens")?.parse().ok().filter(|n| *n < 1_000_000)
}

/// `None` where input or output has no price, or both are 0: the list has 0 for
/// models whose price it does not know.
fn rates(model: &str, fields: &Map<String, Value>, suffix: &str) -> Result<Option<Rates>, ParseError> {
    let rate = |field: &str| per_million(model, &format!("{field}{suffix}"), fields);
    let (Some(input), Some(output)) = (rate("input_cost_per_token")?, rate("output_cost_per_token")?) else {
        return Ok(None);
    };
    if input.is_zero() && output.is_zero() && fields.get("litellm_provider").and_then(Value::as_str) != Some("ollama") {
        return Ok(None);
    }
    Ok(Some(Rates {
        input,
        output,
        cache_read: rate("cache_read_input_token_cost")?,
        // Nobody gives cache writes away; 0 says that the provider does not count them.
        cache_write_5m: rate("cache_creation_input_token_cost")?.filter(|rate| !rate.is_zero()),
        cache_write_1h: per_million(model, &one_hour(suffix), fields)?.filter(|rate| !rate.is_zero()),
        reasoning: rate("output_cost_per_reasoning_token")?,
    }))
}

fn one_hour(suffix: &str) -> String {
    format!("cache_creation_input_token_cost_above_1hr{suffix}")
}

/// Dollars a token, as the file writes them, in dollars a million. The number's
/// shortest text is what was typed; no arithmetic is done on the float.
fn per_million(model: &str, field: &str, fields: &Map<String, Value>) -> Result<Option<Decimal>, ParseError> {
    let Some(value) = fields.get(field).filter(|value| !value.is_null()) else { return Ok(None) };
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let parsed = Decimal::from_scientific(&text.to_lowercase()).or_else(|_| text.parse()).ok();
    let rate = parsed.map(|per_token| per_token.saturating_mul(Decimal::from(1_000_000_u32)).normalize());
    match rate
        .map(|rate| rate.round_dp(10))
        .filter(|rate| !rate.is_sign_negative() && *rate < Decimal::from(1_000_000_u32))
    {
        Some(rate) => Ok(Some(rate)),
        None => Err(ParseError::Price { model: model.to_owned(), field: field.to_owned(), value: text }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::billing::price::tests::dec;

    fn read(value: &Value) -> Result<Parsed, ParseError> {
        parse(value.to_string().as_bytes(), DateTime::UNIX_EPOCH)
    }

    #[test]
    fn prices_a_token_become_prices_a_million() {
        let parsed = read(&json!({
            "sample_spec": {"litellm_provider": "one of", "mode": "one of"},
            "groq/llama-3.1-8b-instant": {"litellm_provider": "groq", "mode": "chat",
                "input_cost_per_token": 5e-8, "output_cost_per_token": 8e-8},
            "claude-x": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 3e-6,
                "output_cost_per_token": 0.000_015, "cache_read_input_token_cost": 3e-7,
                "cache_creation_input_token_cost": 3.75e-6, "cache_creation_input_token_cost_above_1hr": 6e-6,
                "output_cost_per_reasoning_token": null}
        }))
        .expect("rows");
        assert_eq!((parsed.rows.len(), parsed.skipped), (2, 1));
        let by = |model: &str| parsed.rows.iter().find(|row| row.model == model).expect("a row");
        let groq = by("llama-3.1-8b-instant");
        assert_eq!((groq.provider.as_str(), groq.rates.input, groq.rates.output), ("groq", dec!(0.05), dec!(0.08)));
        let claude = by("claude-x").rates;
        assert_eq!((claude.input, claude.output, claude.cache_read), (dec!(3), dec!(15), Some(dec!(0.3))));
        assert_eq!(
            (claude.cache_write_5m, claude.cache_write_1h, claude.reasoning),
            (Some(dec!(3.75)), Some(dec!(6)), None)
        );
    }

    #[test]
    fn long_prompts_have_rows_of_their_own() {
        let parsed = read(&json!({"gemini/g": {"litellm_provider": "gemini", "mode": "chat",
            "input_cost_per_token": 1.25e-6, "output_cost_per_token": 1e-5,
            "input_cost_per_token_above_200k_tokens": 2.5e-6, "output_cost_per_token_above_200k_tokens": 1.5e-5,
            "input_cost_per_token_above_200k_tokens_priority": 9e-6}}))
        .expect("rows");
        let rows: Vec<_> = parsed.rows.iter().map(|row| (row.tier.as_str(), row.rates.input)).collect();
        assert_eq!(rows, [("", dec!(1.25)), ("above_200k", dec!(2.5))]);
    }

    #[test]
    fn what_cannot_be_priced_is_skipped_and_doubles_are_one() {
        let chat = |provider: &str, input: f64| {
            json!({"litellm_provider": provider, "mode": "chat",
            "input_cost_per_token": input, "output_cost_per_token": input})
        };
        let parsed = read(&json!({
            "deepseek-chat": chat("deepseek", 1e-6), "deepseek/deepseek-chat": chat("deepseek", 1e-6),
            "azure/gpt": chat("azure", 1e-6), "gemini/free": chat("gemini", 0.0), "ollama/x": chat("ollama", 0.0),
            "whisper": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_token": 1e-6},
            "half": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6}
        }))
        .expect("rows");
        let models: Vec<_> = parsed.rows.iter().map(|row| row.model.as_str()).collect();
        assert_eq!(models, ["deepseek-chat", "x"]);
        assert_eq!(parsed.skipped, 4);
    }

    #[test]
    fn a_file_of_another_kind_is_refused_with_a_reason() {
        assert!(parse(b"{", DateTime::UNIX_EPOCH).expect_err("an error").to_string().starts_with("not JSON"));
        assert!(matches!(read(&json!([])), Err(ParseError::Layout)));
        assert!(matches!(read(&json!({"a": 1})), Err(ParseError::Layout)));
        let price = |input: Value| {
            let fields = json!({"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": input,
                "output_cost_per_token": 1e-6});
            read(&json!({"m": fields})).expect_err("an error").to_string()
        };
        assert_eq!(price(json!("free")), "m: input_cost_per_token: `free` is not a price");
        assert!(price(json!(-1e-6)).contains("not a price"));
        assert!(price(json!(1e9)).contains("not a price"));
    }
}
