//! A message that is asked for, and one that came in one piece.

use serde_json::{Map, Value, json};

use super::super::{
    asked::Asked,
    chat::{self, Tool, ToolCall, ToolResult, Turn},
    classify,
    completion::{Completion, Parts},
    error::ProviderError,
    protocol::Reply,
    request::Request,
    structured,
};
use crate::base::Metered;

/// The protocol wants a bound on the answer, always.
const DEFAULT_MAX_TOKENS: u32 = 4096;

/// The body of a `POST .../messages`. A schema becomes a tool that the model
/// must use: its input is the answer. Beside other tools it stands in the prompt.
pub fn question(request: &Request) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), request.model.clone().into());
    body.insert("max_tokens".into(), request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS).into());
    let mut messages = vec![json!({"role": "user", "content": request.prompt})];
    messages.extend(request.turns.iter().map(said));
    body.insert("messages".into(), messages.into());
    let mut system = request.system.clone();
    match &request.response_schema {
        Some(schema) if request.tools.is_empty() && structured::is_object(schema) => {
            let name = structured::NAME;
            let tool = json!({"name": name, "description": "Gives the answer.", "input_schema": schema});
            body.insert("tools".into(), json!([tool]));
            body.insert("tool_choice".into(), json!({"type": "tool", "name": name}));
        }
        Some(schema) => system = Some(structured::with_instruction(system.as_deref(), schema)),
        None => {}
    }
    if !request.tools.is_empty() {
        let tool = |t: &Tool| json!({"name": t.name, "description": t.description, "input_schema": t.schema});
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
        if request.answer_now {
            body.insert("tool_choice".into(), json!({"type": "none"}));
        }
    }
    if let Some(system) = system {
        body.insert("system".into(), system.into());
    }
    if let Some(temperature) = request.temperature {
        body.insert("temperature".into(), temperature.into());
    }
    Value::Object(body)
}

fn said(turn: &Turn) -> Value {
    match turn {
        Turn::User(text) => json!({"role": "user", "content": text}),
        Turn::Model { content, calls } => {
            let mut blocks: Vec<Value> = calls
                .iter()
                .map(|call| {
                    let input = chat::argument_object(&call.arguments);
                    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
                })
                .collect();
            // A text without a character in it is refused.
            if !content.trim().is_empty() || blocks.is_empty() {
                let text = if content.trim().is_empty() { "(nothing)" } else { content };
                blocks.insert(0, json!({"type": "text", "text": text}));
            }
            json!({"role": "assistant", "content": blocks})
        }
        Turn::Tools(results) => {
            let block = |r: &ToolResult| json!({"type": "tool_result", "tool_use_id": r.id, "content": r.content, "is_error": r.is_error});
            json!({"role": "user", "content": results.iter().map(block).collect::<Vec<_>>()})
        }
    }
}

/// Reads `content`.
pub fn answer(asked: Asked<'_>, reply: Reply, metered: Metered) -> Result<Completion, ProviderError> {
    let Reply { request_id, body } = reply;
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    let Some(blocks) = body["content"].as_array() else {
        return Err(without_content(asked, request_id.or_else(|| text("id"))).with_usage(metered));
    };
    let (content, tool_calls) = compose(blocks.iter().filter_map(Block::read));
    let parts = Parts { content, tool_calls, finish_reason: text("stop_reason"), id: text("id"), model: text("model") };
    Ok(parts.into_completion(asked, request_id, metered))
}

/// The error of an answer that says nothing.
pub fn without_content(asked: Asked<'_>, request_id: Option<String>) -> ProviderError {
    classify::unreadable(asked.provider, "sent an answer without `content`", request_id)
}

/// A block of an answer that counts; thinking does not.
#[derive(Debug)]
pub enum Block {
    Text(String),
    Tool { id: Option<String>, name: String, input: Value },
}

impl Block {
    fn read(block: &Value) -> Option<Self> {
        let text = |key: &str| block[key].as_str().map(str::to_owned);
        if block["type"] == "tool_use" {
            let (id, name) = (text("id"), text("name").unwrap_or_default());
            return Some(Self::Tool { id, name, input: block["input"].clone() });
        }
        text("text").map(Self::Text)
    }
}

/// The content of an answer, and the calls that it asks for. The forced tool's input
/// is the answer; text beside it is talk.
pub fn compose(blocks: impl Iterator<Item = Block>) -> (String, Vec<ToolCall>) {
    let (mut talk, mut answer, mut calls) = (String::new(), None, Vec::new());
    for block in blocks {
        match block {
            Block::Text(text) => talk.push_str(&text),
            Block::Tool { name, input, .. } if name == structured::NAME => {
                answer.get_or_insert_with(|| input.to_string());
            }
            Block::Tool { id, name, input } => {
                let id = id.unwrap_or_else(|| chat::made_up_id(calls.len()));
                calls.push(ToolCall { id, name, arguments: input, signature: None });
            }
        }
    }
    (answer.unwrap_or(talk), calls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{ErrorKind, known};

    fn parse(body: Value) -> Result<Completion, ProviderError> {
        let protocol = known::find("anthropic").expect("a provider").protocol;
        let asked = Asked { provider: "anthropic", model: "m", key: None };
        protocol.answer(asked, Reply { request_id: None, body })
    }

    #[test]
    fn the_question_always_bounds_the_answer() {
        let request = Request { model: "m".into(), system: Some("s".into()), prompt: "p".into(), ..Request::default() };
        let expected = json!({"model": "m", "max_tokens": 4096, "system": "s",
            "messages": [{"role": "user", "content": "p"}]});
        assert_eq!(question(&request), expected);
        let request = Request { max_tokens: Some(7), temperature: Some(0.5), ..request };
        assert_eq!((&question(&request)["max_tokens"], &question(&request)["temperature"]), (&json!(7), &json!(0.5)));
    }

    #[test]
    fn a_schema_becomes_a_tool_that_must_be_used() {
        let schema = json!({"type": "object"});
        let body = question(&Request { response_schema: Some(schema.clone()), ..Request::default() });
        assert_eq!(body["tools"][0]["input_schema"], schema);
        assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "answer"}));
        let list = question(&Request { response_schema: Some(json!({"type": "array"})), ..Request::default() });
        assert!(list.get("tools").is_none());
        assert!(list["system"].as_str().expect("text").contains("JSON Schema"));
    }

    #[test]
    fn text_blocks_are_joined_and_a_tools_input_is_the_answer() {
        let usage = json!({"input_tokens": 4, "output_tokens": 2});
        let text = json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        let done =
            parse(json!({"id": "msg_1", "model": "c", "content": text, "usage": usage, "stop_reason": "end_turn"}))
                .expect("an answer");
        assert_eq!((done.content.as_str(), done.metered.usage.total(), done.metered.mismatch), ("ab", 6, false));
        assert_eq!((done.request_id.as_deref(), done.finish_reason.as_deref()), (Some("msg_1"), Some("end_turn")));
        let tool =
            json!([{"type": "text", "text": "Here:"}, {"type": "tool_use", "name": "answer", "input": {"n": 1}}]);
        assert_eq!(parse(json!({"content": tool})).expect("an answer").content, r#"{"n":1}"#);
    }

    #[test]
    fn an_answer_without_content_is_lost_and_keeps_its_usage() {
        let error = parse(json!({"usage": {"input_tokens": 9, "output_tokens": 1}})).expect_err("an error");
        assert_eq!((error.kind, error.metered.expect("usage").usage.total()), (ErrorKind::Unknown, 10));
    }
}
