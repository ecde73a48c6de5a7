//! Every protocol of `providers` against the simulator, over real sockets, fault by fault.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Scripted, Simulator};
use crate::{
    config,
    providers::{Completion, ErrorKind, Heard, Provider, ProviderError, Registry, Request, Tool, ToolResult, Turn},
};

const PROTOCOLS: [&str; 3] = ["openai", "anthropic", "gemini"];

async fn start() -> Simulator {
    super::start("127.0.0.1:0", None).await.expect("a simulator")
}

/// A provider whose address is the simulator's; `stream`: as in the settings.
fn set(name: &str, sim: &Simulator, stream: Option<bool>) -> Arc<dyn Provider> {
    let base_url = Some(format!("http://{}", sim.addr));
    let setting = config::Provider { base_url, stream, ..config::Provider::default() };
    let registry = Registry::new(&BTreeMap::from([(name.to_owned(), setting)]), Vec::new()).expect("a registry");
    registry.get(name).expect("a provider")
}

fn provider(name: &str, sim: &Simulator) -> Arc<dyn Provider> {
    set(name, sim, None)
}

fn ask(model: &str) -> Request {
    Request {
        model: model.into(),
        system: Some("Be brief.".into()),
        prompt: "Audit /missing. It answers 404.".into(),
        timeout: Duration::from_secs(10),
        ..Request::default()
    }
}

async fn complete(name: &str, sim: &Simulator, request: &Request) -> Result<Completion, ProviderError> {
    provider(name, sim).complete(request, Some(&SecretString::from("test-key")), &Heard::default()).await
}

#[tokio::test]
async fn every_protocol_brings_the_answer_and_the_same_counts() {
    let sim = start().await;
    for name in PROTOCOLS {
        let done = complete(name, &sim, &ask("any-model")).await.expect(name);
        assert!(done.content.contains("Audit /missing."), "{name}: {}", done.content);
        let output = done.content.len().div_ceil(4) as u64;
        assert_eq!(
            (done.metered.usage.input, done.metered.usage.output, done.metered.mismatch),
            (3 + 8, output, false),
            "{name}"
        );
        assert_eq!(done.model, "any-model");
        assert!(done.request_id.is_some_and(|id| id.starts_with("sim-")), "{name}");
        let cached = complete(name, &sim, &ask("scripted-cached")).await.expect(name);
        assert_eq!((cached.metered.usage.cache_read, cached.metered.mismatch), (5, false), "{name}");
    }
}

#[tokio::test]
async fn a_schema_is_followed_in_every_protocol_and_dialect() {
    let sim = start().await;
    let schema = json!({"type": "object", "required": ["score"],
        "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 9}}});
    for name in ["openai", "groq", "openrouter", "ollama", "anthropic", "gemini"] {
        let request = Request { response_schema: Some(schema.clone()), ..ask("m") };
        let done = complete(name, &sim, &request).await.expect(name);
        let value: Value = serde_json::from_str(&done.content).expect(name);
        assert!(jsonschema::is_valid(&schema, &value), "{name}: {value}");
    }
}

/// In pieces and in one piece.
fn both_ways(name: &str, sim: &Simulator) -> [Arc<dyn Provider>; 2] {
    [None, Some(false)].map(|stream| set(name, sim, stream))
}

#[tokio::test]
async fn tools_are_asked_for_and_their_results_are_read_in_every_protocol() {
    let sim = start().await;
    let schema = json!({"type": "object", "required": ["word"], "properties": {"word": {"type": "string"}}});
    let tool = Tool { name: "look_up".into(), description: "Looks a word up.".into(), schema: schema.clone() };
    let key = SecretString::from("test-key");
    for name in PROTOCOLS {
        for provider in both_ways(name, &sim) {
            let mut request = Request { tools: vec![tool.clone()], ..ask("m") };
            let first = provider.complete(&request, Some(&key), &Heard::default()).await.expect(name);
            let [call] = &first.tool_calls[..] else { panic!("{name}: {first:?}") };
            assert_eq!(call.name, "look_up");
            assert!(jsonschema::is_valid(&schema, &call.arguments), "{name}: {call:?}");
            assert_eq!(call.signature.is_some(), name == "gemini", "what has to go back goes back");
            let result = ToolResult {
                id: call.id.clone(),
                name: call.name.clone(),
                content: "- a hat is worn".into(),
                is_error: false,
            };
            request.turns =
                vec![Turn::Model { content: first.content, calls: first.tool_calls }, Turn::Tools(vec![result])];
            let second = provider.complete(&request, Some(&key), &Heard::default()).await.expect(name);
            assert!(second.tool_calls.is_empty() && second.content.contains("a hat is worn"), "{name}: {second:?}");
            let now = Request { turns: Vec::new(), answer_now: true, ..request };
            let third = provider.complete(&now, Some(&key), &Heard::default()).await.expect(name);
            assert!(third.tool_calls.is_empty(), "{name}: tools were not to be had");
        }
    }
}

#[tokio::test]
async fn what_came_before_a_cut_is_heard_in_every_protocol() {
    let sim = start().await;
    for name in PROTOCOLS {
        for (model, kind) in [("scripted-cut", ErrorKind::Unknown), ("scripted-stall", ErrorKind::Timeout)] {
            let heard = Heard::default();
            let request = Request { timeout: Duration::from_millis(500), ..ask(model) };
            let failed = provider(name, &sim).complete(&request, Some(&"k".into()), &heard).await;
            assert_eq!(failed.expect_err(model).kind, kind, "{name} {model}");
            let usage = heard.partial(11).expect("something was heard").usage;
            assert!(usage.output > 5 && usage.input == 11, "{name} {model}: {usage:?}");
            assert!(heard.request_id().is_some_and(|id| id.starts_with("sim-")), "{name} {model}");
        }
    }
}

#[tokio::test]
async fn an_answer_may_take_longer_than_its_longest_silence() {
    let sim = start().await;
    for name in PROTOCOLS {
        let request = Request { timeout: Duration::from_secs(1), ..ask("scripted-trickle-200") };
        let started = std::time::Instant::now();
        assert!(complete(name, &sim, &request).await.is_ok(), "{name}");
        assert!(started.elapsed() > request.timeout, "{name}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn max_tokens_bounds_the_answer() {
    let sim = start().await;
    for (name, reason) in
        [("openai", "length"), ("groq", "length"), ("anthropic", "max_tokens"), ("gemini", "MAX_TOKENS")]
    {
        let done = complete(name, &sim, &Request { max_tokens: Some(4), ..ask("m") }).await.expect(name);
        assert_eq!((done.metered.usage.output, done.finish_reason.as_deref()), (4, Some(reason)), "{name}");
    }
}

#[tokio::test]
async fn faults_are_told_apart_in_every_protocol() {
    let sim = start().await;
    let second = Some(Duration::from_secs(1));
    for name in PROTOCOLS {
        for (model, kind, status) in [
            ("scripted-429", ErrorKind::Retry { after: second }, Some(429)),
            ("scripted-500", ErrorKind::Retry { after: None }, Some(500)),
            ("scripted-529", ErrorKind::Retry { after: None }, Some(529)),
            ("scripted-400", ErrorKind::Rejected, Some(400)),
            ("scripted-401", ErrorKind::Rejected, Some(401)),
            ("scripted-404", ErrorKind::Rejected, Some(404)),
            ("scripted-cut", ErrorKind::Unknown, None),
            ("scripted-malformed", ErrorKind::Unknown, None),
            ("scripted-wrong-type", ErrorKind::Unknown, None),
        ] {
            let error = complete(name, &sim, &ask(model)).await.expect_err(model);
            assert_eq!((error.kind, error.status), (kind, status), "{name} {model}: {error}");
            assert!(error.message.starts_with(name) || error.message.contains(&format!(" {name} ")), "{error}");
            assert!(!error.message.contains("test-key"), "{error}");
            let broke = error.message.contains("broke after the request was sent");
            assert_eq!(broke, model == "scripted-cut", "{error}");
        }
        for model in ["scripted-no-usage", "scripted-wrong-usage"] {
            assert!(complete(name, &sim, &ask(model)).await.expect(model).metered.mismatch, "{name} {model}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_silent_or_slow_times_out() {
    let sim = start().await;
    for model in ["scripted-hang", "scripted-slow-5000"] {
        let request = Request { timeout: Duration::from_millis(150), ..ask(model) };
        let error = complete("openai", &sim, &request).await.expect_err(model);
        assert_eq!(error.kind, ErrorKind::Timeout);
        assert_eq!(error.message, "openai did not answer within 150ms");
    }
    assert!(complete("openai", &sim, &ask("scripted-slow-50")).await.is_ok());
}

#[tokio::test]
async fn a_refused_key_names_the_secret_and_hides_the_key() {
    let sim = start().await;
    for name in PROTOCOLS {
        let error =
            provider(name, &sim).complete(&ask("m"), Some(&"bad-key".into()), &Heard::default()).await.expect_err(name);
        assert_eq!(error.kind, ErrorKind::Rejected);
        assert!(error.message.contains(&format!("refused the key (401): check the secret {name}_api_key")), "{error}");
        assert!(error.message.contains("[key]") && !error.message.contains("bad-key"), "{error}");
        let error = provider(name, &sim).complete(&ask("m"), None, &Heard::default()).await.expect_err(name);
        assert!(error.message.contains(&format!("needs a key: check the secret {name}_api_key")), "{error}");
    }
    assert!(
        provider("ollama", &sim).complete(&ask("m"), None, &Heard::default()).await.is_ok(),
        "a local server needs no key"
    );
}

#[tokio::test]
async fn the_log_holds_what_was_counted_and_no_key() {
    let log = std::env::temp_dir().join(format!("teamai-sim-{}.jsonl", std::process::id()));
    let sim = super::start("127.0.0.1:0", Some(&log)).await.expect("a simulator");
    let done = complete("anthropic", &sim, &ask("m")).await.expect("an answer");
    let request = Request { timeout: Duration::from_millis(100), ..ask("scripted-hang") };
    complete("openai", &sim, &request).await.expect_err("a timeout");
    complete("gemini", &sim, &ask("scripted-429")).await.expect_err("a refusal");
    let text = std::fs::read_to_string(&log).expect("the log");
    std::fs::remove_file(&log).expect("the log is ours");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [answered, hung, refused] = lines.as_slice() else { panic!("{text}") };
    assert_eq!(answered["request_id"].as_str(), done.request_id.as_deref());
    assert_eq!(
        (&answered["input_tokens"], &answered["output_tokens"]),
        (&json!(done.metered.usage.input), &json!(done.metered.usage.output))
    );
    assert_eq!(
        (&answered["protocol"], &answered["outcome"], &answered["status"]),
        (&json!("anthropic"), &json!("answered"), &json!(200))
    );
    assert_eq!((&hung["outcome"], &hung["status"], &hung["usage"]), (&json!("hang"), &Value::Null, &Value::Null));
    assert_eq!(
        (&refused["outcome"], &refused["status"], &refused["model"]),
        (&json!("refused"), &json!(429), &json!("scripted-429"))
    );
    assert!(!text.contains("test-key") && answered["key"].as_str().is_some_and(|key| key.starts_with("sha256:")));
}

#[tokio::test]
async fn streams_end_with_the_counts_of_the_whole_answer() {
    let sim = start().await;
    let http = reqwest::Client::new();
    let post = |path: &str, body: Value| http.post(format!("http://{}{path}", sim.addr)).json(&body).send();
    let message = json!([{"role": "user", "content": "hello"}]);
    let body = json!({"model": "m", "messages": message, "stream": true, "stream_options": {"include_usage": true}});
    let text = post("/v1/chat/completions", body.clone()).await.expect("an answer").text().await.expect("a stream");
    let events: Vec<&str> = text.split("\n\n").filter(|event| !event.is_empty()).collect();
    assert_eq!(events.last(), Some(&"data: [DONE]"));
    let usage: Value = serde_json::from_str(events[events.len() - 2].trim_start_matches("data: ")).expect("JSON");
    assert_eq!(usage["usage"]["prompt_tokens"], 2);
    let body = json!({"model": "m", "max_tokens": 9, "messages": message, "stream": true});
    let text = post("/v1/messages", body).await.expect("an answer").text().await.expect("a stream");
    assert!(text.starts_with("event: message_start\n") && text.ends_with("{\"type\":\"message_stop\"}\n\n"), "{text}");
    let body = json!({"contents": [{"parts": [{"text": "hello"}]}]});
    let path = "/v1beta/models/m:streamGenerateContent?alt=sse";
    assert!(post(path, body).await.expect("an answer").text().await.expect("a stream").contains("\"totalTokenCount\""));
    let mut cut = json!({"model": "scripted-cut", "messages": message, "stream": true});
    cut["max_tokens"] = json!(500);
    let lost = match post("/v1/chat/completions", cut).await {
        Ok(response) => response.text().await.is_err(),
        Err(_) => true,
    };
    assert!(lost, "the stream was cut");
}

#[test]
fn the_scripted_provider_needs_no_key_and_takes_no_setting() {
    let built_in = || vec![Arc::new(Scripted::default()) as Arc<dyn Provider>];
    let registry = Registry::new(&BTreeMap::new(), built_in()).expect("a registry");
    assert!(registry.names().contains(&"scripted"));
    assert!(!registry.get("scripted").expect("scripted").needs_key());
    let setting = config::Provider {
        base_url: Some("http://x".to_owned()),
        protocol: Some("openai".to_owned()),
        ..config::Provider::default()
    };
    let refused = Registry::new(&BTreeMap::from([("scripted".to_owned(), setting)]), built_in());
    assert!(refused.expect_err("a refusal").to_string().contains("nothing to set"));
}
