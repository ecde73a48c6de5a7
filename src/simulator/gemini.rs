//! The simulator's side of Gemini's generateContent.

use serde_json::{Value, json};

use super::{
    asked::{Asked, limit, pieces, text, told_schema, tool},
    script::{Answer, Counting},
};

/// The model stands in the path, the rest in the body.
///
/// # Errors
/// What is wrong with the body.
pub fn asked(model: &str, stream: bool, body: &Value) -> Result<Asked, String> {
    let contents = body["contents"].as_array().filter(|list| !list.is_empty()).ok_or("contents is not specified")?;
    let system = text(&body["systemInstruction"]["parts"]);
    let config = &body["generationConfig"];
    let schema = ["responseJsonSchema", "responseSchema"].iter().find_map(|key| config.get(*key)).cloned();
    let parts = || contents.iter().filter_map(|content| content["parts"].as_array()).flatten();
    let declared = body.pointer("/tools/0/functionDeclarations").and_then(Value::as_array).into_iter().flatten();
    let forbidden = body.pointer("/toolConfig/functionCallingConfig/mode").is_some_and(|mode| mode == "NONE");
    Ok(Asked {
        model: model.to_owned(),
        prompt: contents.iter().map(|content| said(&content["parts"])).collect::<Vec<_>>().join("\n"),
        tools: declared.filter(|_| !forbidden).map(|declared| tool(declared, "parametersJsonSchema")).collect(),
        results: parts().filter(|part| part["functionResponse"].is_object()).count(),
        replies: contents.iter().filter(|content| content["role"] == "model").count(),
        max_tokens: limit(&config["maxOutputTokens"]),
        schema: schema.or_else(|| told_schema(&system)),
        system,
        stream,
        stream_usage: true,
    })
}

/// The text of a message, that of functions' responses included.
fn said(parts: &Value) -> String {
    let of = |part: &Value| match part["functionResponse"]["response"].as_object() {
        Some(response) => response.values().map(text).collect::<Vec<_>>().join("\n"),
        None => text(&json!([part])),
    };
    parts.as_array().into_iter().flatten().map(of).collect::<Vec<_>>().join("\n")
}

pub fn answer(asked: &Asked, answer: &Answer, id: &str) -> Value {
    chunk(asked, answer, id, &answer.content, true)
}

/// The events of a stream (`alt=sse`).
pub fn stream(asked: &Asked, answer: &Answer, id: &str) -> Vec<String> {
    let mut events: Vec<_> =
        pieces(&answer.content).iter().map(|piece| chunk(asked, answer, id, piece, false)).collect();
    events.push(chunk(asked, answer, id, "", true));
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

pub fn refusal(status: u16, message: &str) -> Value {
    let name = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": message, "status": name}})
}

fn chunk(asked: &Asked, answer: &Answer, id: &str, text: &str, last: bool) -> Value {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [{"text": text}]}});
    if last && let Some((name, args)) = &answer.call {
        // Has to come back with the call, as Gemini 3 insists.
        let part =
            json!({"functionCall": {"name": name, "args": args}, "thoughtSignature": format!("sig-{}", asked.results)});
        candidate["content"]["parts"] = json!([part]);
    }
    if last {
        candidate["finishReason"] = if answer.cut_short { "MAX_TOKENS" } else { "STOP" }.into();
    }
    let mut body = json!({"candidates": [candidate], "modelVersion": asked.model, "responseId": id});
    if last && answer.counting != Counting::Missing {
        let u = &answer.usage;
        let total = u.total() + u64::from(answer.counting == Counting::Wrong);
        body["usageMetadata"] = json!({"promptTokenCount": u.input + u.cache_read,
            "cachedContentTokenCount": u.cache_read, "candidatesTokenCount": u.output,
            "thoughtsTokenCount": u.reasoning, "totalTokenCount": total});
    }
    body
}
