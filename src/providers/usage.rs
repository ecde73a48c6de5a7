//! Each protocol's token counts, brought into disjoint buckets.
//!
//! | protocol  | prompt count                  | answer count                  | own total     |
//! |-----------|-------------------------------|-------------------------------|---------------|
//! | OpenAI    | includes cache reads, writes  | includes reasoning            | prompt+answer |
//! | Anthropic | excludes cache reads, writes  | includes thinking             | none          |
//! | Gemini    | includes cache reads          | excludes thoughts             | all of them   |
//!
//! A count of 0 is 0. A count that is missing where it must be there, or that
//! does not add up, sets `mismatch`: the ledger flags such a line.

use serde_json::Value;

use crate::base::Usage;

/// No real count comes near it; above it is nonsense that would only overflow later.
const MAX_COUNT: u64 = 1 << 40;

/// A provider's usage, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Normalised {
    pub usage: Usage,
    /// The buckets do not add up to what the provider says, or a count is missing.
    pub mismatch: bool,
}

/// Reads counts by path and remembers whether one of them was nonsense.
struct Counts<'a> {
    raw: &'a Value,
    nonsense: bool,
}

impl<'a> Counts<'a> {
    fn of(raw: &'a Value) -> Self {
        Self { raw, nonsense: false }
    }

    /// The first of the paths that is there. `null` counts as absent.
    fn get(&mut self, paths: &[&str]) -> Option<u64> {
        let value = paths.iter().find_map(|path| self.raw.pointer(path).filter(|value| !value.is_null()))?;
        let count = value.as_u64().filter(|count| *count <= MAX_COUNT);
        self.nonsense |= count.is_none();
        count
    }

    fn required(&mut self, paths: &[&str]) -> u64 {
        let count = self.get(paths);
        self.nonsense |= count.is_none();
        count.unwrap_or(0)
    }

    /// A part of a whole; more than the whole is nonsense.
    fn rest(&mut self, whole: u64, part: u64) -> u64 {
        self.nonsense |= part > whole;
        whole.saturating_sub(part)
    }
}

/// `usage` of chat completions, and of those who follow it.
#[must_use]
pub fn openai(raw: &Value) -> Normalised {
    let mut counts = Counts::of(raw);
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
    Normalised { usage, mismatch: counts.nonsense || usage.total() != total }
}

/// `usage` of messages. There is no total; the two counts of cache writes must agree.
#[must_use]
pub fn anthropic(raw: &Value) -> Normalised {
    let mut counts = Counts::of(raw);
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
    Normalised { usage, mismatch: counts.nonsense || !agree }
}

/// `usageMetadata` of generateContent, which leaves counts of 0 out.
#[must_use]
pub fn gemini(raw: &Value) -> Normalised {
    let mut counts = Counts::of(raw);
    let prompt = counts.required(&["/promptTokenCount"]);
    let total = counts.required(&["/totalTokenCount"]);
    let cache_read = counts.get(&["/cachedContentTokenCount"]).unwrap_or(0);
    let tools = counts.get(&["/toolUsePromptTokenCount"]).unwrap_or(0);
    let output = counts.get(&["/candidatesTokenCount"]).unwrap_or(0);
    let reasoning = counts.get(&["/thoughtsTokenCount"]).unwrap_or(0);

    let input = counts.rest(prompt, cache_read) + tools;
    let usage = Usage { input, cache_read, cache_write_5m: 0, cache_write_1h: 0, output, reasoning };
    Normalised { usage, mismatch: counts.nonsense || usage.total() != total }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// input, `cache_read`, 5m, 1h, output, reasoning
    fn buckets(n: Normalised) -> ([u64; 6], bool) {
        let u = n.usage;
        ([u.input, u.cache_read, u.cache_write_5m, u.cache_write_1h, u.output, u.reasoning], n.mismatch)
    }

    #[test]
    fn openai_prompt_holds_the_cache_and_completion_holds_the_reasoning() {
        let plain = json!({"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29});
        assert_eq!(buckets(openai(&plain)), ([19, 0, 0, 0, 10, 0], false));
        let full = json!({
            "prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 192, "accepted_prediction_tokens": 0}
        });
        assert_eq!(buckets(openai(&full)), ([86, 1920, 0, 0, 108, 192], false));
        let written = json!({
            "prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105,
            "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 60}
        });
        assert_eq!(buckets(openai(&written)), ([30, 10, 60, 0, 5, 0], false));
    }

    #[test]
    fn speakers_of_the_openai_protocol_differ() {
        let deepseek = json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36,
            "completion_tokens_details": {"reasoning_tokens": 20}
        });
        assert_eq!(buckets(openai(&deepseek)), ([36, 64, 0, 0, 30, 20], false));
        let groq = json!({"queue_time": 0.03, "prompt_tokens": 45, "prompt_time": 0.001, "completion_tokens": 76,
            "completion_time": 0.08, "total_tokens": 121, "total_time": 0.09});
        assert_eq!(buckets(openai(&groq)), ([45, 0, 0, 0, 76, 0], false));
        let reasoning_beside = json!({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
            "completion_tokens_details": {"reasoning_tokens": 94}});
        assert_eq!(buckets(openai(&reasoning_beside)), ([32, 0, 0, 0, 9, 94], false));
        let null_details = json!({"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6,
            "prompt_tokens_details": null, "completion_tokens_details": {"reasoning_tokens": null}});
        assert_eq!(buckets(openai(&null_details)), ([4, 0, 0, 0, 2, 0], false));
        let no_total = json!({"prompt_tokens": 4, "completion_tokens": 2});
        assert_eq!(buckets(openai(&no_total)), ([4, 0, 0, 0, 2, 0], false));
    }

    #[test]
    fn openai_counts_that_do_not_add_up_are_flagged() {
        let zero = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
        assert_eq!(buckets(openai(&zero)), ([0; 6], false), "0 is a count");
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
            assert!(openai(&odd).mismatch, "{odd}");
        }
    }

    #[test]
    fn anthropic_input_excludes_the_cache() {
        let plain = json!({"input_tokens": 10, "output_tokens": 25});
        assert_eq!(buckets(anthropic(&plain)), ([10, 0, 0, 0, 25, 0], false));
        let cached = json!({
            "input_tokens": 21, "cache_creation_input_tokens": 288, "cache_read_input_tokens": 188_086,
            "cache_creation": {"ephemeral_5m_input_tokens": 188, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 393, "service_tier": "standard"
        });
        assert_eq!(buckets(anthropic(&cached)), ([21, 188_086, 188, 100, 393, 0], false));
        let undivided = json!({"input_tokens": 1, "cache_creation_input_tokens": 50, "output_tokens": 2});
        assert_eq!(buckets(anthropic(&undivided)), ([1, 0, 50, 0, 2, 0], false));
    }

    #[test]
    fn anthropic_counts_that_disagree_are_flagged() {
        let disagree = json!({"input_tokens": 1, "cache_creation_input_tokens": 50, "output_tokens": 2,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 20}});
        assert!(anthropic(&disagree).mismatch);
        assert!(anthropic(&json!({"input_tokens": 1})).mismatch);
        assert!(anthropic(&json!(null)).mismatch);
    }

    #[test]
    fn gemini_prompt_holds_the_cache_and_candidates_do_not_hold_thoughts() {
        let full = json!({
            "promptTokenCount": 1000, "cachedContentTokenCount": 600, "candidatesTokenCount": 120,
            "thoughtsTokenCount": 80, "toolUsePromptTokenCount": 30, "totalTokenCount": 1230
        });
        assert_eq!(buckets(gemini(&full)), ([430, 600, 0, 0, 120, 80], false));
        let all_thought = json!({"promptTokenCount": 8, "thoughtsTokenCount": 92, "totalTokenCount": 100});
        assert_eq!(buckets(gemini(&all_thought)), ([8, 0, 0, 0, 0, 92], false));
        for odd in [
            json!({"promptTokenCount": 8, "candidatesTokenCount": 2, "totalTokenCount": 11}),
            json!({"promptTokenCount": 8, "candidatesTokenCount": 2}),
            json!(null),
        ] {
            assert!(gemini(&odd).mismatch, "{odd}");
        }
    }
}
