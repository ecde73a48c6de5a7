//! Anthropic's messages.

use serde_json::{Map, Value, json};

use super::{
    Completion, ProviderError, Request, ToolCall, Turn, chat,
    classify::{self, Asked},
    http::Reply,
    structured, usage,
};

/// The version of the protocol, sent as `anthropic-version`.
pub const VERSION: &str = "2023-06-01";
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
        let tool = |t: &super::Tool| json!({"name": t.name, "description": t.description, "input_schema": t.schema});
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

/// Asks for the answer in pieces.
pub fn streamed(body: &mut Value) {
    body["stream"] = true.into();
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
            let block = |r: &super::ToolResult| json!({"type": "tool_result", "tool_use_id": r.id, "content": r.content, "is_error": r.is_error});
            json!({"role": "user", "content": results.iter().map(block).collect::<Vec<_>>()})
        }
    }
}

/// Reads `content` and `usage`.
pub fn answer(asked: Asked<'_>, reply: Reply) -> Result<Completion, ProviderError> {
    let Reply { request_id, mut body } = reply;
    let request_id = request_id.or_else(|| body["id"].as_str().map(str::to_owned));
    let raw_usage = body.get_mut("usage").map(Value::take).unwrap_or_default();
    let counted = usage::anthropic(&raw_usage);
    let Some(blocks) = body["content"].as_array() else {
        let mut error = classify::unreadable(asked.provider, "sent an answer without `content`", request_id);
        error.usage = (!raw_usage.is_null()).then_some((counted.usage, raw_usage));
        return Err(error);
    };
    // The forced tool's input is the answer; text beside it is talk.
    let (answer, others): (Vec<&Value>, Vec<&Value>) =
        blocks.iter().filter(|block| block["type"] == "tool_use").partition(|block| block["name"] == structured::NAME);
    let content = match answer.first() {
        Some(block) => block["input"].to_string(),
        None => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
    };
    let call = |(nth, block): (usize, &&Value)| ToolCall {
        id: block["id"].as_str().map_or_else(|| chat::made_up_id(nth), str::to_owned),
        name: block["name"].as_str().unwrap_or_default().to_owned(),
        arguments: block["input"].clone(),
        signature: None,
    };
    Ok(Completion {
        content,
        tool_calls: others.iter().enumerate().map(call).collect(),
        model: body["model"].as_str().unwrap_or(asked.model).to_owned(),
        usage: counted.usage,
        raw_usage,
        usage_mismatch: counted.mismatch,
        request_id,
        finish_reason: body["stop_reason"].as_str().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::ErrorKind;

    fn parse(body: Value) -> Result<Completion, ProviderError> {
        answer(Asked { provider: "anthropic", model: "m", key: None }, Reply { request_id: None, body })
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
        assert_eq!((done.content.as_str(), done.usage.total(), done.usage_mismatch), ("ab", 6, false));
        assert_eq!((done.request_id.as_deref(), done.finish_reason.as_deref()), (Some("msg_1"), Some("end_turn")));
        let tool =
            json!([{"type": "text", "text": "Here:"}, {"type": "tool_use", "name": "answer", "input": {"n": 1}}]);
        assert_eq!(parse(json!({"content": tool})).expect("an answer").content, r#"{"n":1}"#);
    }

    #[test]
    fn an_answer_without_content_is_lost_and_keeps_its_usage() {
        let error = parse(json!({"usage": {"input_tokens": 9, "output_tokens": 1}})).expect_err("an error");
        assert_eq!((error.kind, error.usage.expect("usage").0.total()), (ErrorKind::Unknown, 10));
    }
}
