//! Lengths of time as recipes write them: `500ms`, `60s`, `5m`, `1h`, `7d`.

use std::{borrow::Cow, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::catalog::read::{Kind, Read, Reader, Tree};

/// A length of time in whole milliseconds, more than none and at most a year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(Duration);

const UNITS_MS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const MAX_MS: u64 = 366 * 86_400_000;
const REMEDY: &str = "is not a length of time: write a whole number with its unit, such as 500ms, 60s, 5m, 1h or 7d \
                      (a bare number is seconds), more than 0 and at most a year";

impl Span {
    /// # Errors
    /// Says how a length of time is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = if unit.is_empty() { "s" } else { unit };
        UNITS_MS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, factor)| number.parse::<u64>().ok()?.checked_mul(*factor))
            .filter(|ms| (1..=MAX_MS).contains(ms))
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| format!("`{text}` {REMEDY}"))
    }

    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(MAX_MS);
        let (unit, factor) = UNITS_MS.into_iter().rev().find(|(_, factor)| ms % factor == 0).unwrap_or(("ms", 1));
        write!(f, "{}{unit}", ms / factor)
    }
}

impl Read for Span {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match &tree.kind {
            Kind::Text(raw) | Kind::Number(_, raw) => {
                Self::parse(raw).unwrap_or_else(|message| at.refuse(tree, message))
            }
            _ => at.refuse(tree, format!("{} {REMEDY}", tree.describe())),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: 500ms, 60s, 5m, 1h, 7d; a bare number is seconds",
            "oneOf": [{"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)?$"}, {"type": "integer", "minimum": 1}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units_and_writes_the_largest() {
        for (text, ms, shown) in
            [("500ms", 500, "500ms"), ("60s", 60_000, "1m"), ("90", 90_000, "90s"), ("24h", 86_400_000, "1d")]
        {
            let span = Span::parse(text).unwrap();
            assert_eq!((span.get().as_millis(), span.to_string().as_str()), (ms, shown));
        }
    }

    #[test]
    fn refuses_what_is_no_length() {
        for bad in ["", "0s", "-1s", "1.5h", "1w", "s", "99999999999999999999s", "367d", "1 h"] {
            assert!(Span::parse(bad).unwrap_err().contains("60s"), "{bad}");
        }
    }
}
