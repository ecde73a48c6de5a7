//! What happens to a question: the fault that a model's name asks for, if it asks for one.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::question::Question;

/// Model names and what they do. `<n>` and `<ms>` stand for numbers.
pub const MODELS: [(&str, &str); 22] = [
    ("scripted-small", "answers at once"),
    ("scripted-large", "answers at once; has another price"),
    ("scripted-slow-<ms>", "answers after so many milliseconds"),
    ("scripted-cached", "answers; half of the prompt counts as read from a cache"),
    ("scripted-reasoning", "answers; counts as many reasoning tokens as answer tokens"),
    ("scripted-no-usage", "answers without usage"),
    ("scripted-wrong-usage", "answers with a total that is not the sum"),
    ("scripted-429", "429 with Retry-After: 1"),
    ("scripted-quota", "429 insufficient_quota"),
    ("scripted-<status>", "that status, 400 to 599"),
    ("scripted-hang", "takes the question and never answers"),
    ("scripted-cut", "breaks the connection in the middle of the answer"),
    ("scripted-cut-<bytes>", "breaks the connection after so many bytes of the answer"),
    ("scripted-stall", "says half of the answer and then nothing"),
    ("scripted-trickle-<ms>", "answers; waits so many milliseconds before each piece"),
    ("scripted-malformed", "answers with half a JSON object"),
    ("scripted-broken-event", "a stream whose second half is no JSON; answers where none is asked for"),
    ("scripted-wrong-type", "answers with a page of HTML"),
    ("scripted-fail-<n>-then-ok", "500 for the first n times that a question is asked, then answers"),
    ("scripted-tools-<n>", "asks for the tools it is given, in turn, n times; others ask once for each"),
    ("scripted-off-schema-<n>", "answers in prose until it was told n times to follow the schema"),
    ("scripted-404", "no such model, as for every other name that begins with scripted-"),
];

/// A delay that a name asks for is bounded by a day.
const MAX_DELAY_MS: u64 = 86_400_000;
/// Questions whose failures are remembered; above it they are forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// What happens to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub delay: Duration,
    pub act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Answer,
    /// A status, and the code that goes with it in the body.
    Refuse(u16, &'static str),
    Hang,
    /// After so many bytes, or in the middle.
    Cut(Option<usize>),
    Stall,
    /// A wait before each piece.
    Trickle(Duration),
    Malformed,
    BrokenEvent,
    WrongType,
}

/// Remembers, for `scripted-fail-<n>-then-ok`, how often a question failed.
#[derive(Debug, Default)]
pub struct Script {
    failures: Mutex<HashMap<u64, u64>>,
}

impl Script {
    /// A name without the `scripted-` prefix is answered: the simulator stands in
    /// for real models.
    pub fn plan(&self, question: &Question<'_>) -> Plan {
        let now = |act| Plan { delay: Duration::ZERO, act };
        let Some(name) = question.model.strip_prefix("scripted-") else { return now(Act::Answer) };
        if let Some(ms) = name.strip_prefix("slow-").and_then(|ms| ms.parse::<u64>().ok()) {
            return Plan { delay: Duration::from_millis(ms.min(MAX_DELAY_MS)), act: Act::Answer };
        }
        if let Some(times) = name.strip_prefix("fail-").and_then(|rest| rest.strip_suffix("-then-ok")?.parse().ok()) {
            return now(if self.fails(question, times) { Act::Refuse(500, "server_error") } else { Act::Answer });
        }
        if let Some(wait) = name.strip_prefix("trickle-").and_then(|ms| ms.parse::<u64>().ok()) {
            return now(Act::Trickle(Duration::from_millis(wait.min(MAX_DELAY_MS))));
        }
        if let Some(bytes) = name.strip_prefix("cut-").and_then(|bytes| bytes.parse().ok()) {
            return now(Act::Cut(Some(bytes)));
        }
        if question.number("tools-").or(question.number("off-schema-")).is_some() {
            return now(Act::Answer);
        }
        now(match name {
            "small" | "large" | "cached" | "reasoning" | "no-usage" | "wrong-usage" => Act::Answer,
            "hang" => Act::Hang,
            "cut" => Act::Cut(None),
            "stall" => Act::Stall,
            "malformed" => Act::Malformed,
            "broken-event" => Act::BrokenEvent,
            "wrong-type" => Act::WrongType,
            "quota" => Act::Refuse(429, "insufficient_quota"),
            _ => match name.parse() {
                Ok(429) => Act::Refuse(429, "rate_limit_exceeded"),
                Ok(401) => Act::Refuse(401, "invalid_api_key"),
                Ok(status @ 400..=599) if status != 404 => Act::Refuse(status, "scripted"),
                _ => Act::Refuse(404, "model_not_found"),
            },
        })
    }

    fn fails(&self, question: &Question<'_>, times: u64) -> bool {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MAX_REMEMBERED {
            failures.clear();
        }
        let count = failures.entry(question.seed()).or_default();
        *count += 1;
        *count <= times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask<'a>(model: &'a str, prompt: &'a str) -> Question<'a> {
        Question { model, prompt, ..Question::default() }
    }

    fn act(model: &str) -> Act {
        Script::default().plan(&ask(model, "hello")).act
    }

    #[test]
    fn a_name_asks_for_its_fault() {
        for model in ["scripted-small", "scripted-cached", "gpt-4o-mini", "claude-sonnet-4-5", "anything"] {
            assert_eq!(act(model), Act::Answer, "{model}");
        }
        assert_eq!(act("scripted-hang"), Act::Hang);
        assert_eq!(act("scripted-cut"), Act::Cut(None));
        assert_eq!(act("scripted-cut-40"), Act::Cut(Some(40)));
        assert_eq!(act("scripted-trickle-5"), Act::Trickle(Duration::from_millis(5)));
        assert_eq!(act("scripted-tools-3"), Act::Answer);
        assert_eq!(act("scripted-off-schema-x"), Act::Refuse(404, "model_not_found"));
        assert_eq!(act("scripted-malformed"), Act::Malformed);
        assert_eq!(act("scripted-wrong-type"), Act::WrongType);
        assert_eq!(act("scripted-429"), Act::Refuse(429, "rate_limit_exceeded"));
        assert_eq!(act("scripted-quota"), Act::Refuse(429, "insufficient_quota"));
        assert_eq!(act("scripted-503"), Act::Refuse(503, "scripted"));
        for model in ["scripted-404", "scripted-smal", "scripted-200", "scripted-99999", "scripted-"] {
            assert_eq!(act(model), Act::Refuse(404, "model_not_found"), "{model}");
        }
    }

    #[test]
    fn slow_is_bounded() {
        let delay = |model| Script::default().plan(&ask(model, "")).delay;
        assert_eq!(delay("scripted-slow-250"), Duration::from_millis(250));
        assert_eq!(delay("scripted-slow-99999999999"), Duration::from_millis(MAX_DELAY_MS));
        assert_eq!(act("scripted-slow-soon"), Act::Refuse(404, "model_not_found"));
    }

    #[test]
    fn fail_then_ok_counts_each_question_by_itself() {
        let script = Script::default();
        let act = |prompt| script.plan(&ask("scripted-fail-2-then-ok", prompt)).act;
        let failure = Act::Refuse(500, "server_error");
        assert_eq!(
            [act("a"), act("a"), act("b"), act("a"), act("b"), act("b")],
            [failure, failure, failure, Act::Answer, failure, Act::Answer]
        );
    }
}
