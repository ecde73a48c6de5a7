//! One key of a component's `config`: what it is called, what values it takes, and what holds without it.

use std::{ops::RangeInclusive, time::Duration};

use crate::catalog::model::SubscriptionLimits;

/// A key of a component's `config`. Any value may come from a template, and `null` counts as absent.
#[derive(Debug)]
pub struct Setting {
    pub key: &'static str,
    pub kind: Kind,
    /// The component does not run without it.
    pub is_required: bool,
    /// For whoever writes a recipe.
    pub says: &'static str,
    /// The cookbook's limit, which holds whatever the recipe says.
    pub cap: Option<Cap>,
}

/// Reads the limit out of a cookbook; `None` where the cookbook sets none.
pub type Cap = fn(&SubscriptionLimits) -> Option<u32>;

/// The values that a setting takes. Ranges are inclusive; a default holds where the key is absent.
#[derive(Debug)]
pub enum Kind {
    /// Text; a number or a boolean is taken as it is written.
    Text,
    /// Text for a model: a list or a mapping is written as JSON.
    Prose,
    Integer {
        range: RangeInclusive<u64>,
        default: Option<u64>,
    },
    Number {
        range: RangeInclusive<f64>,
    },
    Boolean {
        default: Option<bool>,
    },
    /// A number of seconds, or text such as `500ms`, `2s`, `1m`, `1h`.
    Duration {
        range: RangeInclusive<Duration>,
        default: Option<Duration>,
    },
    /// A length of time in whole units, as in the rest of the format.
    Span {
        default: Duration,
    },
    /// One of a few words, in capital or small letters.
    Word {
        words: &'static [&'static str],
        default: &'static str,
    },
    /// An http(s) address.
    Url,
    /// A mapping of names to texts, numbers or booleans.
    Pairs,
    /// A list of texts; one text alone is a list of one.
    Texts,
    /// A mapping of any values.
    Mapping,
    /// A JSON Schema, written as a mapping.
    Schema,
    /// The tools of an agent: see [`crate::catalog::agent`].
    Tools,
    Anything,
}

impl Setting {
    #[must_use]
    pub const fn new(key: &'static str, kind: Kind, says: &'static str) -> Self {
        Self { key, kind, is_required: false, says, cap: None }
    }

    #[must_use]
    pub const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// Whatever a recipe asks for is lowered to this limit of its cookbook.
    #[must_use]
    pub const fn capped_by(mut self, cap: Cap) -> Self {
        self.cap = Some(cap);
        self
    }
}

pub const fn integer(
    key: &'static str,
    range: RangeInclusive<u64>,
    default: Option<u64>,
    says: &'static str,
) -> Setting {
    Setting::new(key, Kind::Integer { range, default }, says)
}

/// From a tenth of a second to `most`.
pub const fn time_limit(most: Duration, default: Duration, says: &'static str) -> Setting {
    let range = RangeInclusive::new(Duration::from_millis(100), most);
    Setting::new("timeout", Kind::Duration { range, default: Some(default) }, says)
}
