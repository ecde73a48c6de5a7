//! The counts of messages.

use serde_json::Value;

use crate::{
    base::{Metered, Usage},
    providers::counts::{Counts, metered},
};

/// `usage` of messages. The prompt's count excludes cache reads and writes, the answer's
/// includes thinking. There is no total; the two counts of cache writes must agree.
pub fn read(raw: Value) -> Metered {
    let mut counts = Counts::of(&raw);
    let input = counts.required(&["/input_tokens"]);
    let output = counts.required(&["/output_tokens"]);
    let cache_read = counts.get(&["/cache_read_input_tokens"]).unwrap_or(0);
    let written = counts.get(&["/cache_creation_input_tokens"]);
    let long = counts.get(&["/cache_creation/ephemeral_1h_input_tokens"]).unwrap_or(0);
    let short = match (counts.get(&["/cache_creation/ephemeral_5m_input_tokens"]), written) {
        (Some(short), _) => short,
        (None, Some(written)) => counts.rest(written, long),
        (None, None) => 0,
    };
    let agree = written.is_none_or(|written| written == short + long);
    let usage = Usage { input, cache_read, cache_write_5m: short, cache_write_1h: long, output, reasoning: 0 };
    let mismatch = counts.nonsense || !agree;
    metered(usage, mismatch, raw)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::counts::tests::buckets;

    #[test]
    fn anthropic_input_excludes_the_cache() {
        let plain = json!({"input_tokens": 10, "output_tokens": 25});
        assert_eq!(buckets(&read(plain)), ([10, 0, 0, 0, 25, 0], false));
        let cached = json!({
            "input_tokens": 21, "cache_creation_input_tokens": 288, "cache_read_input_tokens": 188_086,
            "cache_creation": {"ephemeral_5m_input_tokens": 188, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 393, "service_tier": "standard"
        });
        assert_eq!(buckets(&read(cached)), ([21, 188_086, 188, 100, 393, 0], false));
        let undivided = json!({"input_tokens": 1, "cache_creation_input_tokens": 50, "output_tokens": 2});
        assert_eq!(buckets(&read(undivided)), ([1, 0, 50, 0, 2, 0], false));
    }

    #[test]
    fn anthropic_counts_that_disagree_are_flagged() {
        let disagree = json!({"input_tokens": 1, "cache_creation_input_tokens": 50, "output_tokens": 2,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 20}});
        assert!(read(disagree).mismatch);
        assert!(read(json!({"input_tokens": 1})).mismatch);
        assert!(read(json!(null)).mismatch);
    }
}
