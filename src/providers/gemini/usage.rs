//! The counts of generateContent.

use serde_json::Value;

use crate::{
    base::{Metered, Usage},
    providers::counts::{Counts, metered},
};

/// `usageMetadata` of generateContent, which leaves counts of 0 out. The prompt's count
/// includes cache reads, the answer's excludes thoughts; the total is all of them.
pub fn read(raw: Value) -> Metered {
    let mut counts = Counts::of(&raw);
    let prompt = counts.required(&["/promptTokenCount"]);
    let total = counts.required(&["/totalTokenCount"]);
    let cache_read = counts.get(&["/cachedContentTokenCount"]).unwrap_or(0);
    let tools = counts.get(&["/toolUsePromptTokenCount"]).unwrap_or(0);
    let output = counts.get(&["/candidatesTokenCount"]).unwrap_or(0);
    let reasoning = counts.get(&["/thoughtsTokenCount"]).unwrap_or(0);

    let input = counts.rest(prompt, cache_read) + tools;
    let usage = Usage { input, cache_read, cache_write_5m: 0, cache_write_1h: 0, output, reasoning };
    let mismatch = counts.nonsense || usage.total() != total;
    metered(usage, mismatch, raw)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::counts::tests::buckets;

    #[test]
    fn gemini_prompt_holds_the_cache_and_candidates_do_not_hold_thoughts() {
        let full = json!({
            "promptTokenCount": 1000, "cachedContentTokenCount": 600, "candidatesTokenCount": 120,
            "thoughtsTokenCount": 80, "toolUsePromptTokenCount": 30, "totalTokenCount": 1230
        });
        assert_eq!(buckets(&read(full)), ([430, 600, 0, 0, 120, 80], false));
        let all_thought = json!({"promptTokenCount": 8, "thoughtsTokenCount": 92, "totalTokenCount": 100});
        assert_eq!(buckets(&read(all_thought)), ([8, 0, 0, 0, 0, 92], false));
        for odd in [
            json!({"promptTokenCount": 8, "candidatesTokenCount": 2, "totalTokenCount": 11}),
            json!({"promptTokenCount": 8, "candidatesTokenCount": 2}),
            json!(null),
        ] {
            assert!(read(odd.clone()).mismatch, "{odd}");
        }
    }
}
