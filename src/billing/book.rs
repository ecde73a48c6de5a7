//! The price book in memory: looked up on every model call, replaced as a whole.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{
    price::{Price, threshold},
    store,
};
use crate::base::AgencyId;

/// For a bare model name that several providers have: who made the model comes
/// before who serves it. A provider that is not here comes last, by name.
const PREFERENCE: [&str; 9] =
    ["openai", "anthropic", "gemini", "mistral", "deepseek", "groq", "openrouter", "ollama", "scripted"];

/// Prices by model, newest first.
type Models = HashMap<String, Vec<Price>>;
/// Models by provider.
type Table = HashMap<String, Models>;

/// The prices of one moment.
#[derive(Debug, Default)]
pub struct PriceBook {
    platform: Table,
    agencies: HashMap<AgencyId, Table>,
    /// The preferred provider of each of the platform's models.
    providers: HashMap<String, String>,
}

impl PriceBook {
    /// Reads all rows, those of every agency included: for a worker's pool.
    ///
    /// # Errors
    /// The database is unavailable, or the pool's role is not the worker's.
    pub async fn load(pool: &PgPool) -> Result<Self, sqlx::Error> {
        Ok(Self::new(store::all(pool).await?))
    }

    /// Rows with a region, or with a tier that is not about long prompts, are
    /// left out: nothing asks for them yet.
    #[must_use]
    pub fn new(rows: Vec<Price>) -> Self {
        let (base, long): (Vec<_>, Vec<_>) =
            rows.into_iter().filter(|row| row.region.is_empty()).partition(|row| row.tier.is_empty());
        let mut book = Self::default();
        for row in base {
            let table = book.table_mut(row.agency);
            let models = table.entry(row.provider.clone()).or_default();
            models.entry(row.model.clone()).or_default().push(row);
        }
        for row in long {
            book.attach(row);
        }
        for prices in book.models_mut().flat_map(HashMap::values_mut) {
            prices.sort_by_key(|price| Reverse(price.effective_from));
        }
        book.providers = preferred(&book.platform);
        book
    }

    /// The price of a call made at `at`: the agency's own before the platform's,
    /// the model itself before the model without its date before a pattern, and
    /// of its rows the newest in force. `None`: the call is unpriced.
    #[must_use]
    pub fn price(&self, agency: AgencyId, provider: &str, model: &str, at: DateTime<Utc>) -> Option<&Price> {
        let tables = self.agencies.get(&agency).into_iter().chain([&self.platform]);
        tables.filter_map(|table| table.get(provider)).find_map(|models| in_force(models, model, at))
    }

    /// The provider of a bare model name, by the platform's prices.
    #[must_use]
    pub fn provider_of(&self, model: &str) -> Option<&str> {
        let exact = self.providers.get(model).or_else(|| self.providers.get(undated(model)?));
        // A pattern for all of a provider's models says nothing about whose a model is.
        let by_pattern = || self.providers.iter().find(|(name, _)| name.len() > 1 && matches(name, model));
        exact.or_else(|| by_pattern().map(|(_, provider)| provider)).map(String::as_str)
    }

    fn table_mut(&mut self, agency: Option<AgencyId>) -> &mut Table {
        match agency {
            Some(agency) => self.agencies.entry(agency).or_default(),
            None => &mut self.platform,
        }
    }

    fn models_mut(&mut self) -> impl Iterator<Item = &mut Models> {
        self.agencies.values_mut().chain([&mut self.platform]).flat_map(HashMap::values_mut)
    }

    /// Puts a row for long prompts to the row of the same day.
    fn attach(&mut self, row: Price) {
        let Some(above) = threshold(&row.tier) else { return };
        let models = self.table_mut(row.agency).get_mut(&row.provider);
        let prices = models.and_then(|models| models.get_mut(&row.model));
        let same_day =
            prices.and_then(|prices| prices.iter_mut().find(|price| price.effective_from == row.effective_from));
        if let Some(price) = same_day {
            price.long.push((above, row));
            price.long.sort_by_key(|(above, _)| Reverse(*above));
        }
    }
}

fn in_force<'a>(models: &'a Models, model: &str, at: DateTime<Utc>) -> Option<&'a Price> {
    let newest = |prices: &'a Vec<Price>| prices.iter().find(|price| price.effective_from <= at);
    let named = |name: &str| models.get(name).and_then(newest);
    named(model).or_else(|| named(undated(model)?)).or_else(|| {
        let fitting = models.iter().filter(|(name, _)| matches(name, model));
        fitting.max_by_key(|(name, _)| name.len()).and_then(|(_, prices)| newest(prices))
    })
}

/// A pattern is a prefix with a star at its end.
fn matches(pattern: &str, model: &str) -> bool {
    pattern.strip_suffix('*').is_some_and(|prefix| model.starts_with(prefix))
}

/// `gpt-4o-mini-2024-07-18`, `claude-sonnet-4-5-20250929`, `x-latest` and
/// `gemini-2.0-flash-001` without their ends.
fn undated(model: &str) -> Option<&str> {
    if let Some(base) = model.strip_suffix("-latest") {
        return Some(base);
    }
    let base = model.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let end = model.get(base.len()..)?;
    // The model's own numbers may stand before the date: claude-sonnet-4-5-20250929.
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = end.split('-').collect();
    let tail = match parts.as_slice() {
        [.., y, m, d] if digits(y, 4) && digits(m, 2) && digits(d, 2) => 11,
        [.., date] if digits(date, 8) => 9,
        [.., revision] if digits(revision, 3) && revision.starts_with('0') => 4,
        _ => return None,
    };
    model.get(..model.len().checked_sub(tail)?).filter(|base| !base.is_empty())
}

fn preferred(platform: &Table) -> HashMap<String, String> {
    let rank = |provider: &str| PREFERENCE.iter().position(|known| *known == provider).unwrap_or(PREFERENCE.len());
    let mut providers: Vec<&String> = platform.keys().collect();
    providers.sort_by_key(|provider| (rank(provider), provider.as_str()));
    let mut out = HashMap::new();
    for provider in providers {
        for model in platform[provider].keys() {
            out.entry(model.clone()).or_insert_with(|| provider.clone());
        }
    }
    out
}

/// The current price book of a process. Shared; a reader keeps the book it got.
#[derive(Debug)]
pub struct PriceBooks {
    pool: PgPool,
    current: RwLock<Arc<PriceBook>>,
}

impl PriceBooks {
    /// # Errors
    /// As [`PriceBook::load`].
    pub async fn load(pool: PgPool) -> Result<Self, sqlx::Error> {
        let book = PriceBook::load(&pool).await?;
        Ok(Self { pool, current: RwLock::new(Arc::new(book)) })
    }

    #[must_use]
    pub fn current(&self) -> Arc<PriceBook> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// # Errors
    /// As [`PriceBook::load`]; the book stays as it is.
    pub async fn refresh(&self) -> Result<(), sqlx::Error> {
        let book = Arc::new(PriceBook::load(&self.pool).await?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = book;
        Ok(())
    }

    /// Refreshes after each pause until cancelled, so that a new price counts
    /// without a restart. While the database is unavailable the last book stays.
    pub async fn keep_fresh(&self, pause: Duration, cancel: CancellationToken) {
        while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "the price book could not be read again; the last one stays in force");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use rust_decimal::Decimal;
    use uuid::Uuid;

    use super::*;
    use crate::base::Usage;
    use crate::billing::{
        file,
        price::tests::{dec, price, rates},
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn row(provider: &str, model: &str, input: Decimal) -> Price {
        price(provider, model, rates(input, input))
    }

    fn agency(n: u128) -> AgencyId {
        AgencyId(Uuid::from_u128(n))
    }

    fn found(book: &PriceBook, provider: &str, model: &str, seconds: i64) -> Option<Decimal> {
        book.price(agency(1), provider, model, at(seconds)).map(|price| price.rates.input)
    }

    #[test]
    fn the_newest_price_in_force_counts() {
        let rows = [0, 100, 200].map(|from| Price { effective_from: at(from), ..row("p", "m", Decimal::from(from)) });
        let book = PriceBook::new(rows.to_vec());
        assert_eq!(found(&book, "p", "m", -1), None);
        assert_eq!(found(&book, "p", "m", 99), Some(dec!(0)));
        assert_eq!(found(&book, "p", "m", 100), Some(dec!(100)));
        assert_eq!(found(&book, "p", "m", 10_000), Some(dec!(200)));
        assert_eq!(found(&book, "q", "m", 100), None);
        assert_eq!(found(&book, "p", "n", 100), None);
    }

    #[test]
    fn an_agency_has_its_own_price_and_no_other_agencys() {
        let own = |n, input| Price { agency: Some(agency(n)), ..row("p", "m", input) };
        let book = PriceBook::new(vec![row("p", "m", dec!(1)), own(1, dec!(2)), own(2, dec!(3))]);
        let input = |n| book.price(agency(n), "p", "m", at(0)).map(|price| price.rates.input);
        assert_eq!([input(1), input(2), input(3)], [Some(dec!(2)), Some(dec!(3)), Some(dec!(1))]);
        let later = PriceBook::new(vec![row("p", "m", dec!(1)), Price { effective_from: at(9), ..own(1, dec!(2)) }]);
        assert_eq!(found(&later, "p", "m", 0), Some(dec!(1)), "not in force yet");
    }

    #[test]
    fn a_dated_name_falls_back_to_its_base_and_a_pattern_comes_last() {
        let book = PriceBook::new(vec![
            row("p", "gpt-4o", dec!(1)),
            row("p", "gpt-4o-2024-05-13", dec!(2)),
            row("p", "claude-sonnet-4-5", dec!(3)),
            row("p", "gpt-*", dec!(4)),
            row("p", "*", dec!(5)),
        ]);
        for (model, input) in [
            ("gpt-4o", dec!(1)),
            ("gpt-4o-2024-08-06", dec!(1)),
            ("gpt-4o-latest", dec!(1)),
            ("gpt-4o-001", dec!(1)),
            ("gpt-4o-2024-05-13", dec!(2)),
            ("claude-sonnet-4-5-20250929", dec!(3)),
            ("gpt-4o-mini-2024-07-18", dec!(4)),
            ("gpt-4-0613", dec!(4)),
            ("llama", dec!(5)),
        ] {
            assert_eq!(found(&book, "p", model, 0), Some(input), "{model}");
        }
    }

    #[test]
    fn only_dates_are_taken_off() {
        assert_eq!(undated("claude-sonnet-4-20250514"), Some("claude-sonnet-4"));
        assert_eq!(undated("gemini-2.0-flash-001"), Some("gemini-2.0-flash"));
        for model in
            ["gpt-4", "gpt-4-0613", "mistral-large-2512", "o3", "", "-20250101", "2024-05-13", "é-1", "model-128"]
        {
            assert_eq!(undated(model), None, "{model}");
        }
    }

    #[test]
    fn a_bare_model_belongs_to_its_maker() {
        let other = Price { agency: Some(agency(1)), ..row("zeta", "private", dec!(1)) };
        let rows = ["zeta", "openrouter", "alpha", "mistral"].map(|provider| row(provider, "m", dec!(1)));
        let more = [
            row("zeta", "z", dec!(1)),
            row("alpha", "z", dec!(1)),
            row("ollama", "*", dec!(0)),
            row("s", "s-*", dec!(0)),
        ];
        let book = PriceBook::new(rows.into_iter().chain(more).chain([other]).collect());
        assert_eq!(book.provider_of("m"), Some("mistral"));
        assert_eq!(book.provider_of("m-2024-01-01"), Some("mistral"));
        assert_eq!(book.provider_of("z"), Some("alpha"));
        assert_eq!(book.provider_of("s-7"), Some("s"));
        assert_eq!(book.provider_of("private"), None, "an agency's models are its own");
        assert_eq!(book.provider_of("unheard-of"), None);
    }

    #[test]
    fn regions_and_unknown_tiers_are_left_out() {
        let book = PriceBook::new(vec![
            Price { region: "eu".into(), ..row("p", "m", dec!(9)) },
            Price { tier: "batch".into(), ..row("p", "m", dec!(8)) },
        ]);
        assert_eq!(found(&book, "p", "m", 0), None);
    }

    #[test]
    fn the_platforms_file_prices_what_it_promises() {
        let rows = file::platform().expect("the file").into_iter();
        let book = PriceBook::new(rows.map(Price::unsaved).collect());
        let now = "2026-11-22T00:00:00Z".parse().expect("a date");
        let million = Usage { input: 1_000_000, output: 1_000_000, ..Usage::default() };
        for (provider, model, cost) in [
            ("groq", "llama-3.1-8b-instant", dec!(0.13)),
            ("groq", "llama-3.3-70b-versatile", dec!(1.38)),
            ("openai", "gpt-4o-mini-2024-07-18", dec!(0.75)),
            ("openai", "gpt-4o-2024-05-13", dec!(20)),
            ("anthropic", "claude-sonnet-4-5-20250929", dec!(18)),
            ("gemini", "gemini-2.5-pro", dec!(17.5)),
            ("ollama", "llama3.2:3b", dec!(0)),
            ("scripted", "scripted-slow-200", dec!(0.75)),
            ("scripted", "scripted-large", dec!(12.5)),
        ] {
            let price = book.price(agency(1), provider, model, now).expect(model);
            assert_eq!(price.cost(&million).0.normalize(), cost.normalize(), "{provider}/{model}");
        }
        assert!(book.price(agency(1), "openai", "gpt-99", now).is_none());
        assert_eq!(book.provider_of("llama-3.1-8b-instant"), Some("groq"));
        assert_eq!(book.provider_of("gpt-4o-mini"), Some("openai"));
        assert_eq!(book.provider_of("claude-haiku-4-5"), Some("anthropic"));
        assert_eq!(book.provider_of("scripted-429"), Some("scripted"));
    }
}
