//! The counts of chat completions, and of those who follow them.

use serde_json::Value;

use crate::{
    base::{Metered, Usage},
    providers::counts::{Counts, metered},
};

/// `usage` of chat completions. The prompt's count includes cache reads and writes, the
/// answer's includes reasoning; the total is both.
pub fn read(raw: Value) -> Metered {
    let mut counts = Counts::of(&raw);
    let prompt = counts.required(&["/prompt_tokens"]);
    let completion = counts.required(&["/completion_tokens"]);
    let cache_read = counts.get(&["/prompt_tokens_details/cached_tokens", "/prompt_cache_hit_tokens"]).unwrap_or(0);
    let cache_write_5m = counts.get(&["/prompt_tokens_details/cache_write_tokens"]).unwrap_or(0);
    let reasoning = counts.get(&["/completion_tokens_details/reasoning_tokens"]).unwrap_or(0);
    let total = counts.get(&["/total_tokens"]).unwrap_or(prompt + completion);

    let input = counts.rest(prompt, cache_read + cache_write_5m);
    // A few speakers count reasoning beside the answer instead of within it;
    // their own total tells.
    let beside = reasoning > 0 && total == prompt + completion + reasoning;
    let output = if beside { completion } else { counts.rest(completion, reasoning) };
    let usage = Usage { input, cache_read, cache_write_5m, cache_write_1h: 0, output, reasoning };
    let mismatch = counts.nonsense || usage.total() != total;
    metered(usage, mismatch, raw)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::counts::tests::buckets;

    #[test]
    fn openai_prompt_holds_the_cache_and_completion_holds_the_reasoning() {
        let plain = json!({"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29});
        assert_eq!(buckets(&read(plain)), ([19, 0, 0, 0, 10, 0], false));
        let full = json!({
            "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 192, "accepted_prediction_tokens": 0}
        });
        assert_eq!(buckets(&read(full)), ([86, 1920, 0, 0, 108, 192], false));
        let written = json!({
            "prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105,
            "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 60}
        });
        assert_eq!(buckets(&read(written)), ([30, 10, 60, 0, 5, 0], false));
    }

    #[test]
    fn speakers_of_the_openai_protocol_differ() {
        let deepseek = json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36,
            "completion_tokens_details": {"reasoning_tokens": 20}
        });
        assert_eq!(buckets(&read(deepseek)), ([36, 64, 0, 0, 30, 20], false));
        let groq = json!({"queue_time": 0.03, "prompt_tokens": 45, "prompt_time": 0.001, "completion_tokens": 76,
            "completion_time": 0.08, "total_tokens": 121, "total_time": 0.09});
        assert_eq!(buckets(&read(groq)), ([45, 0, 0, 0, 76, 0], false));
        let reasoning_beside = json!({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
            "completion_tokens_details": {"reasoning_tokens": 94}});
        assert_eq!(buckets(&read(reasoning_beside)), ([32, 0, 0, 0, 9, 94], false));
        let null_details = json!({"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6,
            "prompt_tokens_details": null, "completion_tokens_details": {"reasoning_tokens": null}});
        assert_eq!(buckets(&read(null_details)), ([4, 0, 0, 0, 2, 0], false));
        let no_total = json!({"prompt_tokens": 4, "completion_tokens": 2});
        assert_eq!(buckets(&read(no_total)), ([4, 0, 0, 0, 2, 0], false));
    }

    #[test]
    fn openai_counts_that_do_not_add_up_are_flagged() {
        let zero = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
        assert_eq!(buckets(&read(zero)), ([0; 6], false), "0 is a count");
        for odd in [
            json!(null),
            json!({}),
            json!({"prompt_tokens": 5, "total_tokens": 5}),
            json!({"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 11}),
            json!({"prompt_tokens": 5, "completion_tokens": -5, "total_tokens": 0}),
            json!({"prompt_tokens": "5", "completion_tokens": 5, "total_tokens": 10}),
            json!({"prompt_tokens": 5.5, "completion_tokens": 5, "total_tokens": 10}),
            json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX, "total_tokens": u64::MAX}),
            json!({"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 6}}),
        ] {
            assert!(read(odd.clone()).mismatch, "{odd}");
        }
    }
}
