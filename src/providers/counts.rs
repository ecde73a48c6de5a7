//! Reads token counts; each protocol's `usage` brings its own into disjoint buckets.
//!
//! A count of 0 is 0. A count that is missing where it must be there, or that
//! does not add up, sets `mismatch`: the ledger flags such a line.

use serde_json::Value;

use crate::base::{Metered, Usage};

/// No real count comes near it; above it is nonsense that would only overflow later.
const MAX_COUNT: u64 = 1 << 40;

/// Reads counts by path and remembers whether one of them was nonsense.
pub struct Counts<'a> {
    raw: &'a Value,
    /// One of them was no count, or more than its whole.
    pub nonsense: bool,
}

impl<'a> Counts<'a> {
    pub fn of(raw: &'a Value) -> Self {
        Self { raw, nonsense: false }
    }

    /// The first of the paths that is there. `null` counts as absent.
    pub fn get(&mut self, paths: &[&str]) -> Option<u64> {
        let value = paths.iter().find_map(|path| self.raw.pointer(path).filter(|value| !value.is_null()))?;
        let count = value.as_u64().filter(|count| *count <= MAX_COUNT);
        self.nonsense |= count.is_none();
        count
    }

    pub fn required(&mut self, paths: &[&str]) -> u64 {
        let count = self.get(paths);
        self.nonsense |= count.is_none();
        count.unwrap_or(0)
    }

    /// A part of a whole; more than the whole is nonsense.
    pub fn rest(&mut self, whole: u64, part: u64) -> u64 {
        self.nonsense |= part > whole;
        whole.saturating_sub(part)
    }
}

/// Counts that a provider sent as `raw`; `null` is none.
pub fn metered(usage: Usage, mismatch: bool, raw: Value) -> Metered {
    Metered { usage, raw: Some(raw).filter(|raw| !raw.is_null()), mismatch, estimated: false }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// input, `cache_read`, 5m, 1h, output, reasoning
    pub fn buckets(metered: &Metered) -> ([u64; 6], bool) {
        let u = metered.usage;
        ([u.input, u.cache_read, u.cache_write_5m, u.cache_write_1h, u.output, u.reasoning], metered.mismatch)
    }
}
