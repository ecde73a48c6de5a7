//! Amounts of money in a recipe, exact as they were written.

use std::borrow::Cow;

use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    base::Usd,
    catalog::read::{Kind, Read, Reader, Tree},
};

/// An amount of 0 or more: `0.50` stays `0.50`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(Decimal);

impl Amount {
    /// # Errors
    /// Says which amounts are accepted: those that `NUMERIC(20,10)` holds exactly.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<Decimal>() {
            Err(_) => Err(format!("`{text}` is not an amount; write a number such as 0.50")),
            Ok(amount) if amount < Decimal::ZERO => Err(format!("{text} is negative; an amount is 0 or more")),
            Ok(amount) if amount.scale() > 10 || amount >= Decimal::from(10_000_000_000_u64) => {
                Err(format!("{text} is out of bounds: at most 10 digits before and 10 after the point"))
            }
            Ok(amount) => Ok(Self(amount)),
        }
    }

    #[must_use]
    pub fn get(self) -> Decimal {
        self.0
    }

    #[must_use]
    pub fn usd(self) -> Usd {
        Usd(self.0)
    }
}

impl Read for Amount {
    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match &tree.kind {
            Kind::Number(_, raw) | Kind::Text(raw) => {
                Self::parse(raw).unwrap_or_else(|message| at.refuse(tree, message))
            }
            _ => at.refuse(tree, format!("expected an amount such as 0.50, found {}", tree.describe())),
        }
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An amount of money, 0 or more: 0.50",
            "oneOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^\d{1,10}(\.\d{1,10})?$"}],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_digits() {
        assert_eq!(Amount::parse("0.50").unwrap().get().to_string(), "0.50");
        for bad in ["-0.01", "x", "1e400", "10000000000", "0.00000000001"] {
            assert!(Amount::parse(bad).is_err(), "{bad}");
        }
    }
}
