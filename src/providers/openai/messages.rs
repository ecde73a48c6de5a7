//! A chat completion that is asked for, and one that came in one piece.

use serde_json::{Map, Value, json};

use super::{
    super::{
        asked::Asked,
        chat::{self, Tool, ToolCall, ToolResult, Turn},
        classify,
        completion::{Completion, Parts},
        error::ProviderError,
        protocol::Reply,
        request::Request,
        structured,
    },
    dialect::{Dialect, SchemaMode},
};
use crate::base::Metered;

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
        let tool = |t: &Tool| json!({"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}});
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
pub fn ask_for_stream(body: &mut Value, dialect: Dialect) {
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
            let message = |r: &ToolResult| json!({"role": "tool", "tool_call_id": r.id, "content": r.content});
            messages.extend(results.iter().map(message));
        }
    }
}

/// Reads `choices[0]`.
pub fn answer(asked: Asked<'_>, reply: Reply, metered: Metered) -> Result<Completion, ProviderError> {
    let Reply { request_id, body } = reply;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let choice = &body["choices"][0];
    let message = &choice["message"];
    let id = text(&body["id"]);
    if !message.is_object() {
        let request_id = request_id.or(id);
        let error = if body.get("error").is_some_and(|error| !error.is_null()) {
            classify::in_body(asked, &body, request_id)
        } else {
            without_message(asked, request_id)
        };
        return Err(error.with_usage(metered));
    }
    let parts = Parts {
        content: content(message),
        tool_calls: calls(message),
        finish_reason: text(&choice["finish_reason"]),
        id,
        model: text(&body["model"]),
    };
    Ok(parts.into_completion(asked, request_id, metered))
}

/// The error of an answer that says nothing.
pub fn without_message(asked: Asked<'_>, request_id: Option<String>) -> ProviderError {
    classify::unreadable(asked.provider, "sent an answer without a message in `choices`", request_id)
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
    let read = |(nth, call): (usize, &Value)| {
        let (id, function) = (call["id"].as_str().unwrap_or_default(), &call["function"]);
        let arguments = match &function["arguments"] {
            Value::String(text) => chat::arguments(text),
            Value::Null => chat::arguments(""),
            whole => whole.clone(),
        };
        tool_call(nth, id, function["name"].as_str().unwrap_or_default(), arguments)
    };
    calls.filter_map(read).collect()
}

/// A call that has a name; its id is made up where it has none.
pub fn tool_call(nth: usize, id: &str, name: &str, arguments: Value) -> Option<ToolCall> {
    let id = if id.is_empty() { chat::made_up_id(nth) } else { id.to_owned() };
    (!name.is_empty()).then(|| ToolCall { id, name: name.to_owned(), arguments, signature: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{ErrorKind, known};

    /// As the provider of that name is asked.
    fn question(request: &Request, provider: &str) -> Value {
        known::find(provider).expect("a provider").protocol.question(request, false)
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
        let protocol = known::find("openai").expect("a provider").protocol;
        let asked = Asked { provider: "openai", model: "m", key: None };
        protocol.answer(asked, Reply { request_id: Some("r1".into()), body })
    }

    #[test]
    fn the_question_has_the_limit_under_its_providers_name() {
        let body = question(&request(), "openai");
        let expected = json!({"model": "m", "temperature": 0.3, "max_completion_tokens": 50, "messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": "p"}]});
        assert_eq!(body, expected);
        assert_eq!(question(&request(), "groq")["max_tokens"], 50);
        let bare = Request { model: "m".into(), prompt: "p".into(), ..Request::default() };
        let expected = json!({"model": "m", "messages": [{"role": "user", "content": "p"}]});
        assert_eq!(question(&bare, "groq"), expected);
    }

    #[test]
    fn a_schema_is_enforced_where_it_can_be_and_told_where_it_cannot() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let ask = |provider| question(&Request { response_schema: Some(schema.clone()), ..request() }, provider);
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
        let body = question(&list, "openai");
        assert!(body.get("response_format").is_none() && told(&body), "a list at the top cannot be enforced");
    }

    #[test]
    fn an_answer_is_read_with_its_usage_to_the_letter() {
        let raw = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "odd": {"x": 1}});
        let done = parse(json!({"id": "c1", "model": "m-2024", "usage": raw, "choices": [
            {"message": {"content": "hello"}, "finish_reason": "stop"}]}))
        .expect("an answer");
        assert_eq!((done.content.as_str(), done.model.as_str()), ("hello", "m-2024"));
        let Metered { raw: sent, usage, mismatch, .. } = done.metered;
        assert_eq!((sent, usage.total(), mismatch), (Some(raw), 5, false));
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
        assert!(done.metered.mismatch && done.metered.raw.is_none());
    }

    #[test]
    fn an_answer_without_a_message_is_lost_and_keeps_its_usage() {
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3});
        let error = parse(json!({"choices": [], "usage": usage})).expect_err("an error");
        assert_eq!(error.kind, ErrorKind::Unknown);
        assert_eq!(error.metered.expect("usage").usage.input, 3);
        let error = parse(json!({"error": {"code": 429, "message": "upstream"}})).expect_err("an error");
        assert!(matches!(error.kind, ErrorKind::Retry { .. }));
        assert_eq!(parse(json!("text")).expect_err("an error").kind, ErrorKind::Unknown);
    }
}
