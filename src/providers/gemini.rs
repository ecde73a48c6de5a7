//! Gemini's generateContent.

use serde_json::{Map, Value, json};

use super::{
    Completion, ErrorKind, ProviderError, Request, ToolCall, Turn, chat,
    classify::{self, Asked},
    http::Reply,
    structured, usage,
};

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
        let tool =
            |t: &super::Tool| json!({"name": t.name, "description": t.description, "parametersJsonSchema": t.schema});
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
            let part = |r: &super::ToolResult| {
                let key = if r.is_error { "error" } else { "result" };
                json!({"functionResponse": {"name": r.name, "response": {key: r.content}}})
            };
            json!({"role": "user", "parts": results.iter().map(part).collect::<Vec<_>>()})
        }
    }
}

/// Reads `candidates[0]` and `usageMetadata`.
pub fn answer(asked: Asked<'_>, reply: Reply) -> Result<Completion, ProviderError> {
    let Reply { request_id, mut body } = reply;
    let request_id = request_id.or_else(|| body["responseId"].as_str().map(str::to_owned));
    let raw_usage = body.get_mut("usageMetadata").map(Value::take).unwrap_or_default();
    let counted = usage::gemini(&raw_usage);
    let candidate = &body["candidates"][0];
    if !candidate.is_object() {
        let blocked = body.pointer("/promptFeedback/blockReason").and_then(Value::as_str);
        let what = match blocked {
            Some(reason) => format!("blocked the prompt ({reason})"),
            None => "sent an answer without `candidates`".to_owned(),
        };
        let mut error = classify::unreadable(asked.provider, &what, request_id);
        if blocked.is_some() {
            error.kind = ErrorKind::Rejected;
        }
        error.usage = (!raw_usage.is_null()).then_some((counted.usage, raw_usage));
        return Err(error);
    }
    let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
    let calls = parts.into_iter().flatten().filter(|part| part["functionCall"].is_object()).enumerate();
    let call = |(nth, part): (usize, &Value)| ToolCall {
        id: part["functionCall"]["id"].as_str().map_or_else(|| chat::made_up_id(nth), str::to_owned),
        name: part["functionCall"]["name"].as_str().unwrap_or_default().to_owned(),
        arguments: chat::argument_object(&part["functionCall"]["args"]),
        signature: part["thoughtSignature"].as_str().map(str::to_owned),
    };
    // Parts that are marked as thoughts are not the answer.
    let spoken = parts.into_iter().flatten().filter(|part| part["thought"] != true);
    Ok(Completion {
        content: spoken.filter_map(|part| part["text"].as_str()).collect(),
        tool_calls: calls.map(call).collect(),
        model: body["modelVersion"].as_str().unwrap_or(asked.model).to_owned(),
        usage: counted.usage,
        raw_usage,
        usage_mismatch: counted.mismatch,
        request_id,
        finish_reason: candidate["finishReason"].as_str().map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: Value) -> Result<Completion, ProviderError> {
        answer(Asked { provider: "gemini", model: "m", key: None }, Reply { request_id: None, body })
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
        assert_eq!((done.usage.total(), done.usage_mismatch), (8, false));
        assert_eq!((done.request_id.as_deref(), done.finish_reason.as_deref()), (Some("r"), Some("STOP")));
        let cut = parse(json!({"candidates": [{"finishReason": "MAX_TOKENS"}]})).expect("an answer");
        assert_eq!((cut.content.as_str(), cut.usage_mismatch), ("", true));
    }

    #[test]
    fn a_blocked_prompt_says_so_and_keeps_its_usage() {
        let error = parse(json!({"promptFeedback": {"blockReason": "SAFETY"},
            "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}))
        .expect_err("an error");
        assert!(error.message.contains("blocked the prompt (SAFETY)"));
        assert_eq!(error.kind, ErrorKind::Rejected, "it would be blocked again");
        assert_eq!(error.usage.expect("usage").0.input, 5);
        assert_eq!(parse(json!({})).expect_err("an error").kind, ErrorKind::Unknown);
    }
}
