//! The script: what a model that is none answers, and which fault a model's name asks for.
//!
//! The same question gets the same answer, everywhere and always. Tokens are
//! counted by one rule: a text has a quarter of its UTF-8 bytes, rounded up.

mod sample;
mod text;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use super::Tool;
use crate::base::Usage;

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

/// A question, whichever protocol it came in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    pub model: &'a str,
    pub system: &'a str,
    /// All that was said, one after the other.
    pub prompt: &'a str,
    pub max_tokens: Option<u32>,
    pub schema: Option<&'a Value>,
    /// What may be asked for; empty where it has to be answered now.
    pub tools: &'a [Tool],
    /// Tools' results so far.
    pub results: usize,
    /// The model's own messages so far.
    pub replies: usize,
}

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

/// How an answer's usage is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    True,
    Missing,
    /// The provider's total is one too many.
    Wrong,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub content: String,
    /// Name and arguments of the tool that is asked for.
    pub call: Option<(String, Value)>,
    /// `max_tokens` ended it.
    pub cut_short: bool,
    pub usage: Usage,
    pub counting: Counting,
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
        if number(name, "tools-").or(number(name, "off-schema-")).is_some() {
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
        let count = failures.entry(seed(question)).or_default();
        *count += 1;
        *count <= times
    }
}

/// The answer to a question, which depends on the question alone.
#[must_use]
pub fn answer(question: &Question<'_>) -> Answer {
    let call = call(question);
    let mut content = match question.schema {
        _ if call.is_some() => String::new(),
        Some(schema) if follows(question) => sample::of(schema, seed(question), question.prompt).to_string(),
        _ => text::of(question.prompt),
    };
    let limit = question.max_tokens.map_or(usize::MAX, |tokens| (tokens as usize).saturating_mul(4));
    let cut_short = content.len() > limit;
    content.truncate(content.floor_char_boundary(limit));
    let asked = call.as_ref().map(|(name, arguments)| format!("{name}{arguments}")).unwrap_or_default();
    let usage = count(question, &(asked + &content));
    let counting = match question.model {
        "scripted-no-usage" => Counting::Missing,
        "scripted-wrong-usage" => Counting::Wrong,
        _ => Counting::True,
    };
    Answer { content, call, cut_short, usage, counting }
}

/// Each tool is asked for once, in order, unless the model's name says how often.
fn call(question: &Question<'_>) -> Option<(String, Value)> {
    let times = question.model.strip_prefix("scripted-").and_then(|name| number(name, "tools-"));
    let left = question.results < times.unwrap_or(question.tools.len());
    let tool = question.tools.get(question.results.checked_rem(question.tools.len())?).filter(|_| left)?;
    Some((tool.name.clone(), sample::of(&tool.schema, seed(question), question.prompt)))
}

fn follows(question: &Question<'_>) -> bool {
    let times = question.model.strip_prefix("scripted-").and_then(|name| number(name, "off-schema-"));
    question.replies >= times.unwrap_or(0)
}

fn number(name: &str, prefix: &str) -> Option<usize> {
    name.strip_prefix(prefix)?.parse().ok()
}

fn count(question: &Question<'_>, content: &str) -> Usage {
    let input = tokens(question.system) + tokens(question.prompt);
    let cache_read = if question.model == "scripted-cached" { input / 2 } else { 0 };
    let output = tokens(content);
    let reasoning = if question.model == "scripted-reasoning" { output } else { 0 };
    Usage { input: input - cache_read, cache_read, output, reasoning, ..Usage::default() }
}

/// A quarter of the bytes, rounded up.
#[must_use]
pub fn tokens(text: &str) -> u64 {
    text.len().div_ceil(4) as u64
}

fn seed(question: &Question<'_>) -> u64 {
    hash(&[question.model, question.system, question.prompt])
}

/// FNV-1a: the same on every machine and in every release, which std's is not.
fn hash(parts: &[&str]) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, step)
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

    #[test]
    fn answers_are_deterministic_counted_and_bounded() {
        let question = Question { system: "Be brief.", ..ask("scripted-small", "What is this? It is a test.") };
        let first = answer(&question);
        assert_eq!(first, answer(&question));
        assert_eq!(first.usage.input, 3 + 7);
        assert_eq!(first.usage.output, first.content.len().div_ceil(4) as u64);
        let short = answer(&Question { max_tokens: Some(3), ..question });
        assert!(short.cut_short && short.usage.output == 3 && first.content.starts_with(&short.content));
        assert_eq!(answer(&Question { max_tokens: Some(0), ..question }).content, "");
    }

    #[test]
    fn tools_are_asked_for_in_turn_and_then_it_answers() {
        let tool = |name: &str| Tool {
            name: name.into(),
            description: String::new(),
            schema: serde_json::json!({"type": "object"}),
        };
        let tools = [tool("one"), tool("two")];
        let asked = |model, results| {
            let question = Question { tools: &tools, results, ..ask(model, "Go") };
            answer(&question).call.map(|(name, _)| name)
        };
        let once: Vec<_> = (0..3).map(|results| asked("m", results)).collect();
        assert_eq!(once, [Some("one".to_owned()), Some("two".to_owned()), None]);
        let often: Vec<_> = (0..4).map(|results| asked("scripted-tools-3", results).is_some()).collect();
        assert_eq!(often, [true, true, true, false]);
        assert_eq!(answer(&ask("scripted-tools-3", "Go")).call, None, "without tools it answers");
    }

    #[test]
    fn it_follows_a_schema_once_it_was_told_often_enough() {
        let schema = serde_json::json!({"type": "object"});
        let said =
            |replies| answer(&Question { schema: Some(&schema), replies, ..ask("scripted-off-schema-1", "x") }).content;
        assert!(!said(0).starts_with('{') && said(1).starts_with('{'));
    }

    #[test]
    fn special_models_count_specially() {
        let usage = |model| answer(&ask(model, "12345678")).usage;
        assert_eq!((usage("scripted-cached").input, usage("scripted-cached").cache_read), (1, 1));
        let reasoning = usage("scripted-reasoning");
        assert!(reasoning.reasoning > 0 && reasoning.reasoning == reasoning.output);
        assert_eq!(answer(&ask("scripted-no-usage", "x")).counting, Counting::Missing);
        assert_eq!(answer(&ask("scripted-wrong-usage", "x")).counting, Counting::Wrong);
    }
}
