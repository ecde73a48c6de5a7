//! Content that is asked for, and an answer that came in one piece.

use serde_json::{Map, Value, json};

use super::super::{
    asked::Asked,
    chat::{self, Tool, ToolCall, ToolResult, Turn},
    classify,
    completion::{Completion, Parts},
    error::{ErrorKind, ProviderError},
    protocol::Reply,
    request::Request,
    structured,
};
use crate::base::Metered;

/// The body of a `POST .../models/{model}:generateContent`, or of its stream. Beside
/// tools, which exclude the mode that enforces it, a schema stands in the prompt.
pub fn question(request: &Request) -> Value {
    let mut config = Map::new();
    if let Some(temperature) = request.temperature {
        config.insert("temperature".into(), temperature.into());
    }
    if let Some(limit) = request.max_tokens {
        config.insert("maxOutputTokens".into(), limit.into());
    }
    let mut system = request.system.clone();
    if let Some(schema) = request.response_schema.as_ref().filter(|_| !request.tools.is_empty()) {
        system = Some(structured::with_instruction(system.as_deref(), schema));
    } else if let Some(schema) = &request.response_schema {
        config.insert("responseMimeType".into(), "application/json".into());
        config.insert("responseJsonSchema".into(), schema.clone());
    }
    let mut body = Map::new();
    let mut contents = vec![json!({"role": "user", "parts": [{"text": request.prompt}]})];
    contents.extend(request.turns.iter().map(said));
    body.insert("contents".into(), contents.into());
    if !request.tools.is_empty() {
        let tool = |t: &Tool| json!({"name": t.name, "description": t.description, "parametersJsonSchema": t.schema});
        let declared: Vec<_> = request.tools.iter().map(tool).collect();
        body.insert("tools".into(), json!([{"functionDeclarations": declared}]));
        if request.answer_now {
            body.insert("toolConfig".into(), json!({"functionCallingConfig": {"mode": "NONE"}}));
        }
    }
    if let Some(system) = system {
        body.insert("systemInstruction".into(), json!({"parts": [{"text": system}]}));
    }
    if !config.is_empty() {
        body.insert("generationConfig".into(), config.into());
    }
    Value::Object(body)
}

fn said(turn: &Turn) -> Value {
    match turn {
        Turn::User(text) => json!({"role": "user", "parts": [{"text": text}]}),
        Turn::Model { content, calls } => {
            let mut parts = Vec::new();
            if !content.is_empty() || calls.is_empty() {
                parts.push(json!({"text": content}));
            }
            parts.extend(calls.iter().map(|call| {
                let args = chat::argument_object(&call.arguments);
                let mut part = json!({"functionCall": {"name": call.name, "args": args}});
                if let Some(signature) = &call.signature {
                    part["thoughtSignature"] = signature.as_str().into();
                }
                part
            }));
            json!({"role": "model", "parts": parts})
        }
        Turn::Tools(results) => {
            let part = |r: &ToolResult| {
                let key = if r.is_error { "error" } else { "result" };
                json!({"functionResponse": {"name": r.name, "response": {key: r.content}}})
            };
            json!({"role": "user", "parts": results.iter().map(part).collect::<Vec<_>>()})
        }
    }
}

/// Reads `candidates[0]`.
pub fn answer(asked: Asked<'_>, reply: Reply, metered: Metered) -> Result<Completion, ProviderError> {
    let Reply { request_id, body } = reply;
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    let candidate = &body["candidates"][0];
    if !candidate.is_object() {
        let blocked = body.pointer("/promptFeedback/blockReason").and_then(Value::as_str);
        return Err(without_candidate(asked, blocked, request_id.or_else(|| text("responseId"))).with_usage(metered));
    }
    let finish_reason = candidate["finishReason"].as_str().map(str::to_owned);
    let mut parts = Parts { id: text("responseId"), model: text("modelVersion"), finish_reason, ..Parts::default() };
    let pieces = candidate.pointer("/content/parts").and_then(Value::as_array);
    pieces.into_iter().flatten().for_each(|part| add(&mut parts, part));
    Ok(parts.into_completion(asked, request_id, metered))
}

/// The error of an answer that says nothing.
pub fn without_candidate(asked: Asked<'_>, blocked: Option<&str>, request_id: Option<String>) -> ProviderError {
    let Some(reason) = blocked else {
        return classify::unreadable(asked.provider, "sent an answer without `candidates`", request_id);
    };
    let error = classify::unreadable(asked.provider, &format!("blocked the prompt ({reason})"), request_id);
    ProviderError { kind: ErrorKind::Rejected, ..error }
}

/// Adds a part of the answer. What is marked as a thought is not the answer.
pub fn add(parts: &mut Parts, part: &Value) {
    if part["thought"] != true {
        parts.content.push_str(part["text"].as_str().unwrap_or_default());
    }
    let call = &part["functionCall"];
    if call.is_object() {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        parts.tool_calls.push(ToolCall {
            id: text(&call["id"]).unwrap_or_else(|| chat::made_up_id(parts.tool_calls.len())),
            name: text(&call["name"]).unwrap_or_default(),
            arguments: chat::argument_object(&call["args"]),
            signature: text(&part["thoughtSignature"]),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::known;

    fn parse(body: Value) -> Result<Completion, ProviderError> {
        let protocol = known::find("gemini").expect("a provider").protocol;
        let asked = Asked { provider: "gemini", model: "m", key: None };
        protocol.answer(asked, Reply { request_id: None, body })
    }

    #[test]
    fn the_question_has_its_settings_in_one_place() {
        let request = Request {
            system: Some("s".into()),
            prompt: "p".into(),
            temperature: Some(0.0),
            max_tokens: Some(9),
            response_schema: Some(json!({"type": "object"})),
            ..Request::default()
        };
        let expected = json!({
            "contents": [{"role": "user", "parts": [{"text": "p"}]}],
            "systemInstruction": {"parts": [{"text": "s"}]},
            "generationConfig": {"temperature": 0.0, "maxOutputTokens": 9, "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "object"}}
        });
        assert_eq!(question(&request), expected);
        let bare = Request { prompt: "p".into(), ..Request::default() };
        assert_eq!(question(&bare), json!({"contents": [{"role": "user", "parts": [{"text": "p"}]}]}));
    }

    #[test]
    fn thoughts_are_left_out_of_the_answer() {
        let parts = json!([{"text": "hm", "thought": true}, {"text": "a"}, {"text": "b"}]);
        let done = parse(json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 1, "totalTokenCount": 8},
            "modelVersion": "gem-001", "responseId": "r"}))
        .expect("an answer");
        assert_eq!((done.content.as_str(), done.model.as_str()), ("ab", "gem-001"));
        assert_eq!((done.metered.usage.total(), done.metered.mismatch), (8, false));
        assert_eq!((done.request_id.as_deref(), done.finish_reason.as_deref()), (Some("r"), Some("STOP")));
        let cut = parse(json!({"candidates": [{"finishReason": "MAX_TOKENS"}]})).expect("an answer");
        assert_eq!((cut.content.as_str(), cut.metered.mismatch), ("", true));
    }

    #[test]
    fn a_blocked_prompt_says_so_and_keeps_its_usage() {
        let error = parse(json!({"promptFeedback": {"blockReason": "SAFETY"},
            "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}))
        .expect_err("an error");
        assert!(error.message.contains("blocked the prompt (SAFETY)"));
        assert_eq!(error.kind, ErrorKind::Rejected, "it would be blocked again");
        assert_eq!(error.metered.expect("usage").usage.input, 5);
        assert_eq!(parse(json!({})).expect_err("an error").kind, ErrorKind::Unknown);
    }
}
