//! One row of the price book, and the arithmetic of a cost.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::base::{AgencyId, PriceId, Usage, Usd};

/// USD per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    pub input: Decimal,
    pub output: Decimal,
    /// As `input` where not given.
    pub cache_read: Option<Decimal>,
    /// As `input` where not given.
    pub cache_write_5m: Option<Decimal>,
    /// As `cache_write_5m`, else `input`, where not given.
    pub cache_write_1h: Option<Decimal>,
    /// As `output` where not given.
    pub reasoning: Option<Decimal>,
}

impl Rates {
    /// Whether all can be kept: none negative, none beyond ten places.
    #[must_use]
    pub fn are_valid(&self) -> bool {
        let given = [
            Some(self.input),
            Some(self.output),
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.reasoning,
        ];
        given.into_iter().flatten().all(|rate| {
            !rate.is_sign_negative() && rate.normalize().scale() <= 10 && rate < Decimal::from(1_000_000_000_u32)
        })
    }

    /// Exact but for one rounding, to the ten places of the ledger.
    fn cost(&self, usage: &Usage) -> Usd {
        let write_5m = self.cache_write_5m.unwrap_or(self.input);
        let parts = [
            (usage.input, self.input),
            (usage.cache_read, self.cache_read.unwrap_or(self.input)),
            (usage.cache_write_5m, write_5m),
            (usage.cache_write_1h, self.cache_write_1h.unwrap_or(write_5m)),
            (usage.output, self.output),
            (usage.reasoning, self.reasoning.unwrap_or(self.output)),
        ];
        let sum = parts.iter().fold(Decimal::ZERO, |sum, (tokens, rate)| {
            sum.saturating_add(Decimal::from(*tokens).saturating_mul(*rate))
        });
        Usd(sum / Decimal::from(1_000_000_u32)).to_ledger()
    }
}

/// A row of the price book. Never changed; a new price is a new row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    pub(super) id: PriceId,
    pub(super) agency: Option<AgencyId>,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) region: String,
    pub(super) tier: String,
    pub(super) effective_from: DateTime<Utc>,
    pub(super) rates: Rates,
    /// The rows for long prompts, longest first, each with the tokens that a
    /// prompt must exceed.
    pub(super) long: Vec<(u64, Price)>,
}

impl Price {
    #[must_use]
    pub fn id(&self) -> PriceId {
        self.id
    }

    /// The agency whose own price it is; `None` for the platform's.
    #[must_use]
    pub fn agency(&self) -> Option<AgencyId> {
        self.agency
    }

    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    #[must_use]
    pub fn effective_from(&self) -> DateTime<Utc> {
        self.effective_from
    }

    #[must_use]
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// The row that counts for this usage: another one where the prompt is so
    /// long that the provider charges more. A ledger line keeps this row's id.
    #[must_use]
    pub fn row_for(&self, usage: &Usage) -> &Price {
        let prompt = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h;
        self.for_prompt(prompt)
    }

    /// What the provider charges for a call, by [`Self::row_for`].
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Usd {
        self.row_for(usage).rates.cost(usage)
    }

    /// The most that a call can cost whose answer has at most `max_tokens`,
    /// reasoning included, and that writes no cache.
    #[must_use]
    pub fn reserve(&self, prompt_tokens: u64, max_tokens: u64) -> Usd {
        let rates = &self.for_prompt(prompt_tokens).rates;
        let answer = if rates.reasoning.is_some_and(|reasoning| reasoning > rates.output) {
            Usage { reasoning: max_tokens, ..Usage::default() }
        } else {
            Usage { output: max_tokens, ..Usage::default() }
        };
        rates.cost(&Usage { input: prompt_tokens, ..answer })
    }

    fn for_prompt(&self, tokens: u64) -> &Price {
        self.long.iter().find(|(above, _)| tokens > *above).map_or(self, |(_, price)| price)
    }
}

/// A row that is not in the database yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPrice {
    pub provider: String,
    pub model: String,
    /// Empty, or `above_<n>k`: for prompts of more than n thousand tokens.
    pub tier: String,
    pub effective_from: DateTime<Utc>,
    pub rates: Rates,
    /// Where the price was read.
    pub source: String,
}

/// The tier of prompts of more than so many tokens.
pub(super) fn long_tier(tokens: u64) -> String {
    format!("above_{}k", tokens / 1000)
}

/// The tokens that a prompt must exceed, if that is what the tier is about.
pub(super) fn threshold(tier: &str) -> Option<u64> {
    tier.strip_prefix("above_")?.strip_suffix('k')?.parse::<u64>().ok()?.checked_mul(1000)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A decimal as written.
    macro_rules! dec {
        ($number:literal) => {
            stringify!($number).replace('_', "").parse::<rust_decimal::Decimal>().expect("a decimal")
        };
    }
    pub(in crate::billing) use dec;

    impl Price {
        /// A row as it would be read back.
        #[must_use]
        pub fn unsaved(new: NewPrice) -> Self {
            let row = price(&new.provider, &new.model, new.rates);
            Self { tier: new.tier, effective_from: new.effective_from, ..row }
        }
    }

    pub fn rates(input: Decimal, output: Decimal) -> Rates {
        Rates { input, output, cache_read: None, cache_write_5m: None, cache_write_1h: None, reasoning: None }
    }

    pub fn price(provider: &str, model: &str, rates: Rates) -> Price {
        Price {
            id: PriceId(uuid::Uuid::nil()),
            agency: None,
            provider: provider.to_owned(),
            model: model.to_owned(),
            region: String::new(),
            tier: String::new(),
            effective_from: DateTime::UNIX_EPOCH,
            rates,
            long: Vec::new(),
        }
    }

    fn full() -> Price {
        let rates = Rates {
            cache_read: Some(dec!(0.3)),
            cache_write_5m: Some(dec!(3.75)),
            cache_write_1h: Some(dec!(6)),
            reasoning: Some(dec!(20)),
            ..rates(dec!(3), dec!(15))
        };
        price("anthropic", "claude", rates)
    }

    #[test]
    fn each_bucket_has_its_price() {
        let usage =
            Usage { input: 1, cache_read: 10, cache_write_5m: 100, cache_write_1h: 1000, output: 10_000, reasoning: 7 };
        // 3 + 3 + 375 + 6000 + 150000 + 140, in millionths
        assert_eq!(full().cost(&usage), Usd(dec!(0.156521)));
        assert_eq!(full().cost(&Usage::default()), Usd::ZERO);
    }

    #[test]
    fn a_missing_price_falls_back() {
        let plain = price("p", "m", rates(dec!(2), dec!(8)));
        let usage = Usage { cache_read: 1, cache_write_5m: 1, cache_write_1h: 1, reasoning: 1, ..Usage::default() };
        assert_eq!(plain.cost(&usage), Usd(dec!(0.000014)));
        let mut written = plain;
        written.rates.cache_write_5m = Some(dec!(5));
        assert_eq!(written.cost(&usage), Usd(dec!(0.00002)));
    }

    #[test]
    fn the_prices_of_the_issue() {
        let groq = price("groq", "llama-3.1-8b-instant", rates(dec!(0.05), dec!(0.08)));
        let usage = Usage { input: 1234, output: 567, ..Usage::default() };
        assert_eq!(groq.cost(&usage), Usd(dec!(0.00010706)));
        assert_eq!(groq.reserve(1234, 567), Usd(dec!(0.00010706)));
    }

    #[test]
    fn a_long_prompt_has_the_price_of_long_prompts() {
        let mut gemini = price("gemini", "gemini-2.5-pro", rates(dec!(1.25), dec!(10)));
        gemini.long = vec![(200_000, price("gemini", "gemini-2.5-pro", rates(dec!(2.5), dec!(15))))];
        let usage = |input, cache_read| Usage { input, cache_read, output: 1000, ..Usage::default() };
        assert_eq!(gemini.cost(&usage(200_000, 0)), Usd(dec!(0.26)));
        assert_eq!(gemini.cost(&usage(100_001, 100_000)), Usd(dec!(0.5150025)));
        assert_eq!(gemini.reserve(200_001, 1000), Usd(dec!(0.5150025)));
    }

    #[test]
    fn nonsense_does_not_overflow() {
        let most = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        assert!(price("p", "m", rates(Decimal::MAX, Decimal::MAX)).rates.cost(&most) > Usd::ZERO);
        assert!(!rates(dec!(-1), dec!(1)).are_valid());
        assert!(!rates(dec!(0.00000000001), dec!(1)).are_valid());
        assert!(rates(dec!(0.0000000001), dec!(0)).are_valid());
    }

    #[test]
    fn tiers_are_read_as_written() {
        assert_eq!(threshold(&long_tier(272_000)), Some(272_000));
        for other in ["", "batch", "above_k", "above_-1k", "above_99999999999999999999k"] {
            assert_eq!(threshold(other), None, "{other}");
        }
    }

    fn usages() -> impl Strategy<Value = Usage> {
        prop::array::uniform6(0_u64..10_000_000).prop_map(
            |[input, cache_read, cache_write_5m, cache_write_1h, output, reasoning]| Usage {
                input,
                cache_read,
                cache_write_5m,
                cache_write_1h,
                output,
                reasoning,
            },
        )
    }

    proptest! {
        #[test]
        fn cost_is_additive_and_grows_with_every_bucket(a in usages(), b in usages()) {
            let price = full();
            let mut both = a;
            both += b;
            prop_assert_eq!(price.cost(&both), price.cost(&a) + price.cost(&b));
            prop_assert!(price.cost(&both) >= price.cost(&a));
        }

        #[test]
        fn a_reservation_covers_the_call(prompt in 0_u64..1_000_000, max in 0_u64..100_000, output in 0_u64..100_000, share in 0_u64..=100) {
            let price = full();
            let output = output.min(max);
            let reasoning = output * share / 100;
            let usage = Usage { input: prompt, output: output - reasoning, reasoning, ..Usage::default() };
            prop_assert!(price.reserve(prompt, max) >= price.cost(&usage));
        }
    }
}
