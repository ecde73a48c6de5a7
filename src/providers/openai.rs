//! OpenAI's chat completions, and everyone who speaks the same.

use serde_json::{Map, Value, json};

use super::{
    Completion, ProviderError, Request, ToolCall, Turn, chat,
    classify::{self, Asked},
    http::Reply,
    known::{Dialect, SchemaMode},
    structured, usage,
};

/// The body of a `POST .../chat/completions`. Beside tools a schema stands in the
/// prompt alone: what enforces it would forbid the calls of some providers' models.
pub fn question(request: &Request, dialect: Dialect) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), request.model.clone().into());
    let mut system = request.system.clone();
    if let Some(schema) = &request.response_schema {
        let alone = request.tools.is_empty();
        let native = alone && dialect.schema != SchemaMode::JsonObject && structured::is_object(schema);
        if native {
            body.insert("response_format".into(), structured::response_format(schema));
        } else if alone && structured::is_object(schema) {
            body.insert("response_format".into(), json!({"type": "json_object"}));
        }
        if !(native && dialect.schema == SchemaMode::Native) {
            system = Some(structured::with_instruction(system.as_deref(), schema));
        }
    }
    let mut messages = Vec::with_capacity(2);
    if let Some(system) = system {
        messages.push(json!({"role": "system", "content": system}));
    }
    messages.push(json!({"role": "user", "content": request.prompt}));
    request.turns.iter().for_each(|turn| said(turn, &mut messages));
    body.insert("messages".into(), messages.into());
    if !request.tools.is_empty() {
        let tool = |t: &super::Tool| json!({"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}});
        body.insert("tools".into(), request.tools.iter().map(tool).collect());
        if request.answer_now {
            body.insert("tool_choice".into(), "none".into());
        }
    }
    if let Some(temperature) = request.temperature {
        body.insert("temperature".into(), temperature.into());
    }
    if let Some(limit) = request.max_tokens {
        body.insert(dialect.limit_field.into(), limit.into());
    }
    Value::Object(body)
}

/// Asks for the answer in pieces, with the usage at the end where that has to be asked for.
pub fn streamed(body: &mut Value, dialect: Dialect) {
    body["stream"] = true.into();
    if dialect.usage_on_request {
        body["stream_options"] = json!({"include_usage": true});
    }
}

fn said(turn: &Turn, messages: &mut Vec<Value>) {
    match turn {
        Turn::User(text) => messages.push(json!({"role": "user", "content": text})),
        Turn::Model { content, calls } => {
            let mut message = json!({"role": "assistant", "content": content});
            if !calls.is_empty() {
                let call = |call: &ToolCall| {
                    let arguments = chat::argument_text(&call.arguments);
                    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}})
                };
                message["tool_calls"] = calls.iter().map(call).collect();
            }
            messages.push(message);
        }
        Turn::Tools(results) => {
            let message = |r: &super::ToolResult| json!({"role": "tool", "tool_call_id": r.id, "content": r.content});
            messages.extend(results.iter().map(message));
        }
    }
}

/// Reads `choices[0]` and `usage`.
pub fn answer(asked: Asked<'_>, reply: Reply) -> Result<Completion, ProviderError> {
    let Reply { request_id, mut body } = reply;
    let request_id = request_id.or_else(|| body["id"].as_str().map(str::to_owned));
    let raw_usage = body.get_mut("usage").map(Value::take).unwrap_or_default();
    let counted = usage::openai(&raw_usage);
    let message = &body["choices"][0]["message"];
    if !message.is_object() {
        let mut error = if body.get("error").is_some_and(|error| !error.is_null()) {
            classify::in_body(asked, &body, request_id)
        } else {
            classify::unreadable(asked.provider, "sent an answer without a message in `choices`", request_id)
        };
        error.usage = (!raw_usage.is_null()).then_some((counted.usage, raw_usage));
        return Err(error);
    }
    Ok(Completion {
        content: content(message),
        tool_calls: calls(message),
        model: body["model"].as_str().unwrap_or(asked.model).to_owned(),
        usage: counted.usage,
        raw_usage,
        usage_mismatch: counted.mismatch,
        request_id,
        finish_reason: body["choices"][0]["finish_reason"].as_str().map(str::to_owned),
    })
}

/// Text, or Mistral's list of chunks, of which those of type text count; a
/// refusal where there is no text.
fn content(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(chunks) => chunks.iter().filter_map(|chunk| chunk["text"].as_str()).collect(),
        _ => message["refusal"].as_str().unwrap_or_default().to_owned(),
    }
}

fn calls(message: &Value) -> Vec<ToolCall> {
    let calls = message["tool_calls"].as_array().into_iter().flatten().enumerate();
    calls
        .filter_map(|(nth, call)| {
            let function = &call["function"];
            let id = call["id"].as_str().filter(|id| !id.is_empty());
            Some(ToolCall {
                id: id.map_or_else(|| chat::made_up_id(nth), str::to_owned),
                name: function["name"].as_str().filter(|name| !name.is_empty())?.to_owned(),
                arguments: match &function["arguments"] {
                    Value::String(text) => chat::arguments(text),
                    Value::Null => chat::arguments(""),
                    whole => whole.clone(),
                },
                signature: None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{ErrorKind, known};

    fn dialect(provider: &str) -> Dialect {
        match known::find(provider).expect("a provider").protocol {
            known::Protocol::OpenAi(dialect) => dialect,
            other => panic!("{other:?}"),
        }
    }

    fn request() -> Request {
        Request {
            model: "m".into(),
            system: Some("s".into()),
            prompt: "p".into(),
            temperature: Some(0.3),
            max_tokens: Some(50),
            ..Request::default()
        }
    }

    fn parse(body: Value) -> Result<Completion, ProviderError> {
        answer(Asked { provider: "openai", model: "m", key: None }, Reply { request_id: Some("r1".into()), body })
    }

    #[test]
    fn the_question_has_the_limit_under_its_providers_name() {
        let body = question(&request(), dialect("openai"));
        let expected = json!({"model": "m", "temperature": 0.3, "max_completion_tokens": 50, "messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": "p"}]});
        assert_eq!(body, expected);
        assert_eq!(question(&request(), dialect("groq"))["max_tokens"], 50);
        let bare = Request { model: "m".into(), prompt: "p".into(), ..Request::default() };
        let expected = json!({"model": "m", "messages": [{"role": "user", "content": "p"}]});
        assert_eq!(question(&bare, dialect("groq")), expected);
    }

    #[test]
    fn a_schema_is_enforced_where_it_can_be_and_told_where_it_cannot() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let ask =
            |provider| question(&Request { response_schema: Some(schema.clone()), ..request() }, dialect(provider));
        let told = |body: &Value| body["messages"][0]["content"].as_str().expect("text").contains("JSON Schema");
        let openai = ask("openai");
        assert_eq!(openai["response_format"]["json_schema"]["schema"], schema);
        assert!(!told(&openai));
        let groq = ask("groq");
        assert_eq!(groq["response_format"], json!({"type": "json_object"}));
        assert!(told(&groq));
        let openrouter = ask("openrouter");
        assert_eq!(openrouter["response_format"]["type"], "json_schema");
        assert!(told(&openrouter));
        let list = Request { response_schema: Some(json!({"type": "array"})), ..request() };
        let body = question(&list, dialect("openai"));
        assert!(body.get("response_format").is_none() && told(&body), "a list at the top cannot be enforced");
    }

    #[test]
    fn an_answer_is_read_with_its_usage_to_the_letter() {
        let raw = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "odd": {"x": 1}});
        let done = parse(json!({"id": "c1", "model": "m-2024", "usage": raw, "choices": [
            {"message": {"content": "hello"}, "finish_reason": "stop"}]}))
        .expect("an answer");
        assert_eq!((done.content.as_str(), done.model.as_str()), ("hello", "m-2024"));
        assert_eq!((done.raw_usage, done.usage.total(), done.usage_mismatch), (raw, 5, false));
        assert_eq!((done.request_id.as_deref(), done.finish_reason.as_deref()), (Some("r1"), Some("stop")));
    }

    #[test]
    fn content_comes_in_other_shapes() {
        let read = |message: Value| parse(json!({"choices": [{"message": message}]})).expect("an answer").content;
        let chunks =
            json!([{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]);
        assert_eq!(read(json!({"content": chunks})), "ab");
        assert_eq!(read(json!({"content": null, "refusal": "I cannot"})), "I cannot");
        assert_eq!(read(json!({"content": null})), "");
    }

    #[test]
    fn missing_usage_is_flagged() {
        let done = parse(json!({"choices": [{"message": {"content": "x"}}]})).expect("an answer");
        assert!(done.usage_mismatch && done.raw_usage.is_null());
    }

    #[test]
    fn an_answer_without_a_message_is_lost_and_keeps_its_usage() {
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3});
        let error = parse(json!({"choices": [], "usage": usage})).expect_err("an error");
        assert_eq!(error.kind, ErrorKind::Unknown);
        assert_eq!(error.usage.expect("usage").0.input, 3);
        let error = parse(json!({"error": {"code": 429, "message": "upstream"}})).expect_err("an error");
        assert!(matches!(error.kind, ErrorKind::Retry { .. }));
        assert_eq!(parse(json!("text")).expect_err("an error").kind, ErrorKind::Unknown);
    }
}
