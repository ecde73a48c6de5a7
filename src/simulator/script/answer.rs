//! The answer to a question, made of the question alone.

use serde_json::Value;

use super::{question::Question, sample, text};
use crate::base::Usage;

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

/// The answer to a question, which depends on the question alone.
#[must_use]
pub fn answer(question: &Question<'_>) -> Answer {
    let call = call(question);
    let mut content = match question.schema {
        _ if call.is_some() => String::new(),
        Some(schema) if follows(question) => sample::of(schema, question.seed(), question.prompt).to_string(),
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
    let times = question.number("tools-");
    let left = question.results < times.unwrap_or(question.tools.len());
    let tool = question.tools.get(question.results.checked_rem(question.tools.len())?).filter(|_| left)?;
    Some((tool.name.clone(), sample::of(&tool.schema, question.seed(), question.prompt)))
}

fn follows(question: &Question<'_>) -> bool {
    let times = question.number("off-schema-");
    question.replies >= times.unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::Tool;

    fn ask<'a>(model: &'a str, prompt: &'a str) -> Question<'a> {
        Question { model, prompt, ..Question::default() }
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
