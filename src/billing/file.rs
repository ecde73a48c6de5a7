//! The platform's own price file, part of the binary.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::price::{NewPrice, Rates, long_tier};

const PLATFORM: &str = include_str!("prices.yaml");

/// The file is not as it should be. A test reads it, so no release has it.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("prices.yaml: {0}")]
    Syntax(String),
    #[error("prices.yaml: {provider}/{model}: {reason}")]
    Row { provider: String, model: String, reason: &'static str },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    from: DateTime<Utc>,
    providers: Vec<Provider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    #[serde(rename = "provider")]
    name: String,
    source: String,
    models: Vec<Model>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    #[serde(rename = "model")]
    name: String,
    from: Option<DateTime<Utc>>,
    input: Decimal,
    output: Decimal,
    cache_read: Option<Decimal>,
    cache_write_5m: Option<Decimal>,
    cache_write_1h: Option<Decimal>,
    reasoning: Option<Decimal>,
    above: Option<Above>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Above {
    tokens: u64,
    input: Decimal,
    output: Decimal,
    cache_read: Option<Decimal>,
    cache_write_5m: Option<Decimal>,
    cache_write_1h: Option<Decimal>,
    reasoning: Option<Decimal>,
}

/// The rows of the file in this binary.
pub fn platform() -> Result<Vec<NewPrice>, FileError> {
    parse(PLATFORM)
}

fn parse(text: &str) -> Result<Vec<NewPrice>, FileError> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| FileError::Syntax(error.to_string()))?;
    let mut rows = Vec::new();
    for provider in &file.providers {
        for model in &provider.models {
            rows.extend(rows_of(provider, model, model.from.unwrap_or(file.from))?);
        }
    }
    Ok(rows)
}

fn rows_of(provider: &Provider, model: &Model, effective_from: DateTime<Utc>) -> Result<Vec<NewPrice>, FileError> {
    let wrong = |reason| FileError::Row { provider: provider.name.clone(), model: model.name.clone(), reason };
    let row = |tier: String, rates: Rates| NewPrice {
        provider: provider.name.clone(),
        model: model.name.clone(),
        tier,
        effective_from,
        rates,
        source: provider.source.clone(),
    };
    let mut rows = vec![row(
        String::new(),
        Rates {
            input: model.input,
            output: model.output,
            cache_read: model.cache_read,
            cache_write_5m: model.cache_write_5m,
            cache_write_1h: model.cache_write_1h,
            reasoning: model.reasoning,
        },
    )];
    if let Some(above) = &model.above {
        if above.tokens == 0 || above.tokens % 1000 != 0 {
            return Err(wrong("`above.tokens` has to be a multiple of 1000"));
        }
        let rates = Rates {
            input: above.input,
            output: above.output,
            cache_read: above.cache_read,
            cache_write_5m: above.cache_write_5m,
            cache_write_1h: above.cache_write_1h,
            reasoning: above.reasoning,
        };
        rows.push(row(long_tier(above.tokens), rates));
    }
    if rows.iter().all(|row| row.rates.are_valid()) { Ok(rows) } else { Err(wrong("a price is negative or too fine")) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::billing::price::tests::dec;

    #[test]
    fn the_platforms_file_is_read_whole_and_names_nothing_twice() {
        let rows = platform().expect("the file");
        assert!(rows.len() > 80);
        let keys: HashSet<_> =
            rows.iter().map(|row| (&row.provider, &row.model, &row.tier, row.effective_from)).collect();
        assert_eq!(keys.len(), rows.len());
        assert!(rows.iter().any(|row| row.model == "gemini-2.5-pro" && row.tier == "above_200k"));
    }

    fn one(model: &str) -> Result<Vec<NewPrice>, FileError> {
        parse(&format!(
            "from: 2025-01-01T00:00:00Z\nproviders:\n  - provider: p\n    source: s\n    models:\n      - {model}\n"
        ))
    }

    #[test]
    fn decimals_are_read_as_written() {
        let rows = one("{model: m, input: 0.1, output: 0.30, from: 2026-02-03T00:00:00Z}").expect("a row");
        assert_eq!((rows[0].rates.input, rows[0].rates.output), (dec!(0.1), dec!(0.30)));
        assert_eq!(rows[0].effective_from.to_rfc3339(), "2026-02-03T00:00:00+00:00");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = |model| one(model).expect_err("an error").to_string();
        assert!(text("{model: m, input: -1, output: 1}").contains("p/m: a price is negative"));
        assert!(
            text("{model: m, input: 1, output: 1, above: {tokens: 5, input: 1, output: 1}}").contains("above.tokens")
        );
        assert!(text("{model: m, input: 1}").contains("output"));
        assert!(text("{model: m, input: 1, output: 1, outputs: 2}").contains("outputs"));
        assert!(text("{model: m, input: x, output: 1}").contains("prices.yaml"));
    }
}
