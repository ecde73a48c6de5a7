//! The simulator's side of OpenAI's chat completions.

use serde_json::{Value, json};

use super::{
    asked::{Asked, limit, pieces, text, told_schema, tool},
    script::{Answer, Counting, MODELS, Question},
};

/// # Errors
/// What is wrong with the body.
pub fn asked(body: &Value) -> Result<Asked, String> {
    let model = body["model"].as_str().filter(|model| !model.is_empty()).ok_or("`model` is missing")?;
    let messages = body["messages"].as_array().filter(|list| !list.is_empty()).ok_or("`messages` is missing")?;
    let of = |system: bool| {
        let of_role = |message: &&Value| matches!(message["role"].as_str(), Some("system" | "developer")) == system;
        messages.iter().filter(of_role).map(|message| text(&message["content"])).collect::<Vec<_>>().join("\n")
    };
    let system = of(true);
    let schema = match body["response_format"]["type"].as_str() {
        Some("json_schema") => Some(body["response_format"]["json_schema"]["schema"].clone()),
        Some("json_object") => Some(told_schema(&system).unwrap_or_else(|| json!({"type": "object"}))),
        _ => told_schema(&system),
    };
    Ok(Asked {
        model: model.to_owned(),
        prompt: of(false),
        system,
        max_tokens: limit(&body["max_completion_tokens"]).or_else(|| limit(&body["max_tokens"])),
        schema,
        tools: match body["tool_choice"].as_str() {
            Some("none") => Vec::new(),
            _ => body["tools"].as_array().into_iter().flatten().map(|t| tool(&t["function"], "parameters")).collect(),
        },
        results: messages.iter().filter(|message| message["role"] == "tool").count(),
        replies: messages.iter().filter(|message| message["role"] == "assistant").count(),
        stream: body["stream"] == true,
        stream_usage: body["stream_options"]["include_usage"] == true,
    })
}

/// The whole answer. The in-process door reads this too, so that both count alike.
pub fn answer(question: &Question<'_>, answer: &Answer, id: Option<&str>) -> Value {
    let mut message = json!({"role": "assistant", "content": answer.content, "refusal": null});
    if let Some((name, arguments)) = &answer.call {
        message["content"] = Value::Null;
        message["tool_calls"] = json!([{"id": call_id(question.results), "type": "function",
            "function": {"name": name, "arguments": arguments.to_string()}}]);
    }
    let mut body = json!({
        "object": "chat.completion", "created": 0, "model": question.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish(answer)}],
        "usage": usage(answer),
    });
    if let Some(id) = id {
        body["id"] = format!("chatcmpl-{id}").into();
    }
    body
}

/// The events of a stream, each with its `data:` and the empty line that ends it.
pub fn stream(asked: &Asked, answer: &Answer, id: &str) -> Vec<String> {
    let event = |choices: Value, usage: Value| {
        let chunk = json!({"id": format!("chatcmpl-{id}"), "object": "chat.completion.chunk", "created": 0,
            "model": asked.model, "choices": choices, "usage": usage});
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    let mut events = vec![event(choice(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)];
    for piece in pieces(&answer.content) {
        events.push(event(choice(json!({"content": piece}), Value::Null), Value::Null));
    }
    if let Some((name, arguments)) = &answer.call {
        let call = |id: Value, name: Value, arguments: &str| {
            let function = json!({"name": name, "arguments": arguments});
            event(
                choice(
                    json!({"tool_calls": [{"index": 0, "id": id, "type": "function", "function": function}]}),
                    Value::Null,
                ),
                Value::Null,
            )
        };
        events.push(call(call_id(asked.results).into(), name.as_str().into(), ""));
        events.extend(pieces(&arguments.to_string()).iter().map(|piece| call(Value::Null, Value::Null, piece)));
    }
    events.push(event(choice(json!({}), finish(answer).into()), Value::Null));
    if asked.stream_usage {
        events.push(event(json!([]), usage(answer)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}

pub fn refusal(code: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": code, "param": null, "code": code}})
}

/// The list of `GET /v1/models`.
pub fn models() -> Value {
    let named = MODELS.iter().map(
        |(name, does)| json!({"id": name, "object": "model", "created": 0, "owned_by": "teamai", "description": does}),
    );
    json!({"object": "list", "data": named.collect::<Vec<_>>()})
}

fn call_id(results: usize) -> String {
    format!("call_{results}")
}

fn finish(answer: &Answer) -> &'static str {
    if answer.call.is_some() {
        "tool_calls"
    } else if answer.cut_short {
        "length"
    } else {
        "stop"
    }
}

fn usage(answer: &Answer) -> Value {
    let u = &answer.usage;
    let (prompt, completion) = (u.input + u.cache_read, u.output + u.reasoning);
    let total = prompt + completion + u64::from(answer.counting == Counting::Wrong);
    match answer.counting {
        Counting::Missing => Value::Null,
        Counting::True | Counting::Wrong => json!({
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
            "prompt_tokens_details": {"cached_tokens": u.cache_read},
            "completion_tokens_details": {"reasoning_tokens": u.reasoning},
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_in_its_variants() {
        let body = json!({"model": "m", "max_tokens": 5, "stream": true, "messages": [
            {"role": "developer", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "a"}]},
            {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]});
        let got = asked(&body).expect("a question");
        assert_eq!((got.system.as_str(), got.prompt.as_str()), ("s", "a\nb\nc"));
        assert_eq!((got.max_tokens, got.stream, got.schema), (Some(5), true, None));
        let told = json!({"model": "m", "response_format": {"type": "json_object"}, "messages": [
            {"role": "system", "content": "x JSON Schema:\n{\"type\":\"array\"}"}]});
        assert_eq!(asked(&told).expect("a question").schema, Some(json!({"type": "array"})));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(asked(&json!({})).expect_err("an error").contains("model"));
        assert!(asked(&json!({"model": "m", "messages": []})).expect_err("an error").contains("messages"));
    }
}
