//! The simulator's side of Anthropic's messages.

use serde_json::{Value, json};

use super::{
    asked::{Asked, limit, pieces, text, told_schema, tool},
    script::{Answer, Counting},
};

/// # Errors
/// What is wrong with the body.
pub fn asked(body: &Value) -> Result<Asked, String> {
    let model = body["model"].as_str().filter(|model| !model.is_empty()).ok_or("model: Field required")?;
    let max_tokens = limit(&body["max_tokens"]).filter(|limit| *limit > 0).ok_or("max_tokens: Field required")?;
    let messages = body["messages"].as_array().filter(|list| !list.is_empty()).ok_or("messages: Field required")?;
    let system = text(&body["system"]);
    let forced = body["tool_choice"]["name"].as_str();
    let declared = || body["tools"].as_array().into_iter().flatten();
    let answer = declared().find(|tool| forced.is_some() && tool["name"].as_str() == forced);
    let free = forced.is_none() && body["tool_choice"]["type"] != "none";
    let blocks = || messages.iter().filter_map(|message| message["content"].as_array()).flatten();
    Ok(Asked {
        model: model.to_owned(),
        prompt: messages.iter().map(|message| said(&message["content"])).collect::<Vec<_>>().join("\n"),
        max_tokens: Some(max_tokens),
        tools: declared().filter(|_| free).map(|declared| tool(declared, "input_schema")).collect(),
        results: blocks().filter(|block| block["type"] == "tool_result").count(),
        replies: messages.iter().filter(|message| message["role"] == "assistant").count(),
        schema: answer.map(|tool| tool["input_schema"].clone()).or_else(|| told_schema(&system)),
        system,
        stream: body["stream"] == true,
        stream_usage: true,
    })
}

/// The text of a message, that of tools' results included.
fn said(content: &Value) -> String {
    match content.as_array() {
        Some(blocks) => {
            let of = |block: &Value| {
                if block["type"] == "tool_result" { text(&block["content"]) } else { text(&json!([block])) }
            };
            blocks.iter().map(of).collect::<Vec<_>>().join("\n")
        }
        None => text(content),
    }
}

/// The whole answer: text, the input of the tool that was forced, or a call.
pub fn answer(asked: &Asked, forced_tool: Option<&str>, answer: &Answer, id: &str) -> Value {
    let block = block(asked, forced_tool, answer, id);
    let stop = if block["type"] == "tool_use" { "tool_use" } else { stop(answer) };
    json!({
        "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": asked.model,
        "content": [block], "stop_reason": stop, "stop_sequence": null, "usage": usage(answer),
    })
}

fn block(asked: &Asked, forced_tool: Option<&str>, answer: &Answer, id: &str) -> Value {
    if let Some((name, input)) = &answer.call {
        return json!({"type": "tool_use", "id": format!("toolu_{}", asked.results), "name": name, "input": input});
    }
    // Input that max_tokens cut short is no JSON any more and goes as text.
    match forced_tool.and_then(|name| Some((name, serde_json::from_str::<Value>(&answer.content).ok()?))) {
        Some((name, input)) => json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": input}),
        None => json!({"type": "text", "text": answer.content}),
    }
}

/// The events of a stream, named and with their data.
pub fn stream(asked: &Asked, forced_tool: Option<&str>, answer: &Answer, id: &str) -> Vec<String> {
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default());
    let usage = usage(answer);
    let mut first = usage.clone();
    if first.is_object() {
        first["output_tokens"] = 1.into();
    }
    let message = json!({"id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": asked.model,
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": first});
    let mut block = block(asked, forced_tool, answer, id);
    let (kind, key, said) = match block["input"].take() {
        Value::Null => ("text_delta", "text", answer.content.clone()),
        input => ("input_json_delta", "partial_json", input.to_string()),
    };
    let stop = if key == "text" { stop(answer) } else { "tool_use" };
    if key == "text" {
        block = json!({"type": "text", "text": ""});
    } else {
        block["input"] = json!({});
    }
    let mut events = vec![
        event(json!({"type": "message_start", "message": message})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": block})),
    ];
    for piece in pieces(&said) {
        let delta = json!({"type": kind, key: piece});
        events.push(event(json!({"type": "content_block_delta", "index": 0, "delta": delta})));
    }
    let delta = json!({"stop_reason": stop, "stop_sequence": null});
    events.push(event(json!({"type": "content_block_stop", "index": 0})));
    events.push(event(json!({"type": "message_delta", "delta": delta, "usage": usage})));
    events.push(event(json!({"type": "message_stop"})));
    events
}

pub fn refusal(status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

fn stop(answer: &Answer) -> &'static str {
    if answer.cut_short { "max_tokens" } else { "end_turn" }
}

/// There is no total to get wrong; the counts of cache writes disagree instead.
fn usage(answer: &Answer) -> Value {
    let u = &answer.usage;
    match answer.counting {
        Counting::Missing => Value::Null,
        Counting::True | Counting::Wrong => json!({
            "input_tokens": u.input, "output_tokens": u.output + u.reasoning, "cache_read_input_tokens": u.cache_read,
            "cache_creation_input_tokens": u64::from(answer.counting == Counting::Wrong),
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        }),
    }
}
