//! The processor with providers that do as their model's name says.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::LLMProcessor;
use crate::{
    base::{Metered, Usage},
    components::{CallKind, CallStatus, ComponentError, Retry, testing::World},
    providers::{Completion, ErrorKind, Heard, Patience, Provider, ProviderError, Request},
};

#[derive(Debug)]
struct Fake {
    name: &'static str,
    needs_key: bool,
}

#[async_trait]
impl Provider for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn needs_key(&self) -> bool {
        self.needs_key
    }

    fn origin(&self) -> Option<&str> {
        (self.name == "far").then_some("http://far")
    }

    fn max_in_flight(&self) -> Option<u32> {
        Some(1)
    }

    async fn check_key(&self, _key: &SecretString) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn complete(
        &self,
        request: &Request,
        key: Option<&SecretString>,
        heard: &Heard,
    ) -> Result<Completion, ProviderError> {
        let fail = |kind, status, metered| {
            let message = format!("{} refused the call", self.name);
            ProviderError { kind, message, status, request_id: Some("r-1".into()), metered }
        };
        match request.model.as_str() {
            "tires" if !request.turns.is_empty() => {
                Err(fail(ErrorKind::Retry { after: Some(Duration::from_secs(9)) }, Some(429), None))
            }
            "rejected" => Err(fail(ErrorKind::Rejected, Some(401), None)),
            "busy" => Err(fail(ErrorKind::Retry { after: Some(Duration::from_secs(9)) }, Some(429), None)),
            "down" => Err(fail(ErrorKind::NotSent, None, None)),
            "late" => Err(fail(ErrorKind::Timeout, None, None)),
            "lost" => {
                let usage = Usage { input: 4, ..Usage::default() };
                let reported = Metered { usage, raw: Some(json!({"in": 4})), ..Metered::default() };
                Err(fail(ErrorKind::Unknown, None, Some(reported)))
            }
            "hang" => std::future::pending().await,
            "trails" => {
                heard.accepted(Some("r-3"));
                heard.text("abcdef");
                std::future::pending().await
            }
            model => Ok(Completion {
                content: match model {
                    "mends" if !request.turns.is_empty() => "{\"score\": 9}".into(),
                    "json" => "```json\n{\"score\": 7}\n```".into(),
                    _ => format!(
                        "{}|{}|{}",
                        request.system.as_deref().unwrap_or("-"),
                        request.prompt,
                        key.map_or("-", |key| key.expose_secret())
                    ),
                },
                tool_calls: Vec::new(),
                model: format!("{model}-2026"),
                metered: Metered {
                    usage: Usage { input: 10, output: 3, ..Usage::default() },
                    raw: Some(json!({"prompt_tokens": 10, "completion_tokens": 3})),
                    ..Metered::default()
                },
                request_id: Some("r-2".into()),
                finish_reason: Some("stop".into()),
            }),
        }
    }
}

fn world() -> World {
    let mut world = World::allowing(&[]).providers(vec![
        Arc::new(Fake { name: "acme", needs_key: true }),
        Arc::new(Fake { name: "local", needs_key: false }),
    ]);
    world.keys.by_provider.insert("acme".into(), "k3y".into());
    world.keys.models.insert("known".into(), "acme".into());
    world
}

async fn ask(world: &World, mut config: Value) -> Result<Value, ComponentError> {
    if config.get("prompt_template").is_none() {
        config["prompt_template"] = json!("Hello");
    }
    world.run(&LLMProcessor, config).await
}

#[tokio::test]
async fn asks_and_keeps_the_books() {
    let world = world();
    let output = ask(
        &world,
        json!({"model": "acme/m1", "system_message": "Be brief", "temperature": "0.2", "max_tokens": "50"}),
    )
    .await
    .unwrap();
    assert_eq!(output["content"], "Be brief|Hello|k3y");
    assert_eq!((output["provider"].as_str(), output["model"].as_str()), (Some("acme"), Some("m1-2026")));
    assert_eq!(output["usage"]["total_tokens"], 13);
    assert_eq!((output["cost_usd"].as_str(), output["fallback_used"].as_bool()), (Some("0.013"), Some(false)));
    let calls = world.calls();
    let (call, outcome) = &calls[0];
    assert_eq!((call.kind, call.provider.as_deref(), call.model.as_deref()), (CallKind::Llm, Some("acme"), Some("m1")));
    assert!(matches!(call.estimate, Some((prompt, 50)) if prompt > 0), "{:?}", call.estimate);
    assert_eq!((outcome.status, outcome.request_id.as_deref()), (CallStatus::Success, Some("r-2")));
    let raw = outcome.metered.as_ref().unwrap().raw.clone();
    assert_eq!(raw, Some(json!({"prompt_tokens": 10, "completion_tokens": 3})));
}

#[tokio::test]
async fn finds_the_model_wherever_it_is_named() {
    let mut world = world();
    for (config, provider, model) in [
        (json!({"model": "local/a/b"}), "local", "a/b-2026"),
        (json!({"model": "known"}), "acme", "known-2026"),
        (json!({"model": "new", "provider": "local"}), "local", "new-2026"),
        (json!({"model": "local/new", "provider": "local"}), "local", "new-2026"),
        (json!({"model": "org/new", "provider": "local"}), "local", "org/new-2026"),
    ] {
        let output = ask(&world, config.clone()).await.unwrap();
        assert_eq!((output["provider"].as_str(), output["model"].as_str()), (Some(provider), Some(model)), "{config}");
    }
    world.runtime.default_model = Some("base".into());
    world.runtime.default_provider = Some("local".into());
    let output = ask(&world, json!({"prompt_template": [{"a": 1}]})).await.unwrap();
    assert_eq!(output["content"], "-|[{\"a\":1}]|-");
    assert_eq!((output["provider"].as_str(), output["model"].as_str()), (Some("local"), Some("base-2026")));
}

#[tokio::test]
async fn an_unknown_model_is_named() {
    let world = world();
    for (config, code, field, words) in [
        (json!({}), "invalid_config", "config.model", "no default"),
        (json!({"model": "mystery"}), "unknown_model", "config.model", "provider/model"),
        (
            json!({"model": "nope/m"}),
            "unknown_model",
            "config.model",
            "\"nope\", which is not installed here; there is acme, local",
        ),
        (json!({"model": "m", "provider": "nope"}), "unknown_model", "config.provider", "acme, local"),
        (json!({"model": "known", "fallback_model": "mystery"}), "unknown_model", "config.fallback_model", "mystery"),
        (
            json!({"model": "known", "fallback_models": [{}]}),
            "invalid_config",
            "config.fallback_models",
            "list of texts",
        ),
        (
            json!({"model": "known", "prompt_template": " "}),
            "invalid_config",
            "config.prompt_template",
            "missing or empty",
        ),
        (json!({"model": "known", "temperature": 3}), "invalid_config", "config.temperature", "0 to 2"),
        (json!({"model": "known", "prompt": "x"}), "invalid_config", "config.prompt", "prompt_template"),
    ] {
        let error = ask(&world, config.clone()).await.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), (code, Some(field)), "{config}: {error}");
        assert!(error.message.contains(words), "{config}: {error}");
    }
    assert!(world.calls().is_empty(), "nothing left");
}

#[tokio::test]
async fn falls_back_in_order_with_a_line_for_each_call() {
    let world = world();
    let output =
        ask(&world, json!({"model": "acme/busy", "fallback_models": ["acme/rejected", "local/good"]})).await.unwrap();
    assert_eq!((output["model"].as_str(), output["fallback_used"].as_bool()), (Some("good-2026"), Some(true)));
    let lines: Vec<_> =
        world.calls().into_iter().map(|(call, outcome)| (call.model.unwrap(), outcome.status)).collect();
    assert_eq!(
        lines,
        [
            ("busy".into(), CallStatus::Failed),
            ("rejected".into(), CallStatus::Failed),
            ("good".into(), CallStatus::Success)
        ]
    );
}

#[tokio::test]
async fn failures_are_told_apart() {
    for (model, code, status, retry) in [
        ("rejected", "provider_rejected", CallStatus::Failed, Retry::Never),
        ("busy", "rate_limited", CallStatus::Failed, Retry::Slowed { after: Some(Duration::from_secs(9)) }),
        ("down", "provider_unavailable", CallStatus::Failed, Retry::May { after: None }),
        ("late", "provider_timeout", CallStatus::Timeout, Retry::May { after: None }),
        ("lost", "answer_lost", CallStatus::Unknown, Retry::May { after: None }),
    ] {
        let world = world();
        let error = ask(&world, json!({"model": format!("acme/{model}")})).await.unwrap_err();
        assert_eq!((error.code, error.retry), (code, retry), "{model}");
        assert_eq!(error.message, "acme refused the call");
        assert_eq!(error.field.as_deref(), Some(if model == "rejected" { "secrets.api_key" } else { "config.model" }));
        let calls = world.calls();
        assert_eq!(calls[0].1.status, status, "{model}");
        assert_eq!(calls[0].1.usage().is_some(), model == "lost");
    }
}

#[tokio::test]
async fn one_failure_that_may_pass_makes_all_worth_another_try() {
    let world = world();
    let error = ask(&world, json!({"model": "acme/rejected", "fallback_models": ["acme/down", "acme/busy"]}))
        .await
        .unwrap_err();
    assert_eq!((error.code, error.retry), ("provider_unavailable", Retry::May { after: Some(Duration::from_secs(9)) }));
    assert!(error.message.contains("none of the 3 models answered") && error.message.contains("acme/busy:"), "{error}");
    let slowed = json!({"model": "acme/rejected", "fallback_models": ["acme/busy", "local/busy"]});
    let error = ask(&world, slowed).await.unwrap_err();
    assert_eq!((error.code, error.retry), ("rate_limited", Retry::Slowed { after: Some(Duration::from_secs(9)) }));
}

#[tokio::test]
async fn a_missing_key_says_where_to_store_it() {
    let mut world = world();
    world.keys.by_provider.clear();
    let error = ask(&world, json!({"model": "acme/m"})).await.unwrap_err();
    assert_eq!(
        (error.code, error.field.as_deref(), error.retry),
        ("secret_missing", Some("secrets.api_key"), Retry::Never)
    );
    assert!(error.message.contains("acme_api_key") && error.message.contains("locker"), "{error}");
    assert!(world.calls().is_empty());
    assert_eq!(ask(&world, json!({"model": "local/m"})).await.unwrap()["content"], "-|Hello|-");
}

#[tokio::test]
async fn a_call_that_hangs_ends_at_its_limit() {
    let world = world();
    let error = ask(&world, json!({"model": "acme/hang", "timeout": "100ms"})).await.unwrap_err();
    assert_eq!(error.code, "provider_timeout");
    assert!(error.message.contains("within 0.1 s"), "{error}");
    assert_eq!(world.calls()[0].1.status, CallStatus::Timeout);
}

#[tokio::test]
async fn cancelling_in_a_call_leaves_it_unknown() {
    let world = world();
    let (outcome, ()) = tokio::join!(ask(&world, json!({"model": "acme/hang", "fallback_model": "acme/m"})), async {
        tokio::task::yield_now().await;
        world.cancel.cancel();
    });
    assert_eq!(outcome.unwrap_err().retry, Retry::Stop);
    let calls = world.calls();
    assert_eq!((calls.len(), calls[0].1.status), (1, CallStatus::Unknown));
}

#[tokio::test]
async fn a_schema_is_held() {
    let world = world();
    let schema = json!({"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]});
    let output = ask(&world, json!({"model": "acme/json", "response_schema": schema})).await.unwrap();
    assert_eq!(output["json"], json!({"score": 7}));
    let error = ask(&world, json!({"model": "acme/prose", "response_schema": schema})).await.unwrap_err();
    assert_eq!((error.code, error.retry), ("schema_mismatch", Retry::Never));
    assert_eq!(world.calls().len(), 3, "the second chance has a line of its own");
    let output = ask(&world, json!({"model": "acme/mends", "response_schema": schema})).await.unwrap();
    assert_eq!((&output["json"], &output["corrected"]), (&json!({"score": 9}), &json!(true)));
    assert_eq!(output["usage"]["total_tokens"], 26, "both answers");
    let error = ask(&world, json!({"model": "acme/tires", "response_schema": schema})).await.unwrap_err();
    assert_eq!(error.retry, Retry::May { after: Some(Duration::from_secs(9)) }, "the first question is paid again");
    let error = ask(&world, json!({"model": "acme/json", "response_schema": {"type": 7}})).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("config.response_schema"));
}

/// What is left of the node's time is the call's.
#[tokio::test(start_paused = true)]
async fn a_key_without_a_place_is_waited_for_half_of_the_nodes_time() {
    let mut world = World::allowing(&[]).providers(vec![Arc::new(Fake { name: "far", needs_key: false })]);
    let node = json!({"id": "n", "component": "LLMProcessor", "timeout": "8s", "config": {"model": "far/m"}});
    world.node = serde_json::from_value(node).unwrap();
    let far = world.providers.get("far").unwrap();
    let patience = Patience { longest: Duration::ZERO, for_limits: true };
    let _held = world.providers.admit(far.as_ref(), None, patience).await.unwrap();
    let start = tokio::time::Instant::now();
    let error = ask(&world, json!({"model": "far/m"})).await.unwrap_err();
    assert_eq!((error.code, start.elapsed()), ("rate_limited", Duration::from_secs(4)), "{error}");
    assert!(world.calls().is_empty(), "nothing left");
}

/// A cut answer is charged as far as it was heard.
#[tokio::test]
async fn what_was_heard_of_a_cut_answer_is_accounted_for() {
    let world = world();
    let error = ask(&world, json!({"model": "acme/trails", "timeout": "100ms"})).await.unwrap_err();
    assert_eq!(error.code, "provider_timeout");
    let (call, outcome) = &world.calls()[0];
    let usage = outcome.usage().unwrap();
    assert_eq!((usage.input, usage.output), (call.estimate.unwrap().0, 2));
    assert_eq!((outcome.status, outcome.is_estimated()), (CallStatus::Timeout, true));
    assert_eq!(outcome.request_id.as_deref(), Some("r-3"));
    // Its future dropped, as by the node's own time limit: the meter asks the call itself.
    let cut = call.cut(CallStatus::Timeout);
    assert_eq!((cut.usage(), cut.is_estimated()), (Some(usage), true));
}

/// The node's own key is for the provider that the author named; nobody else is shown it.
#[tokio::test]
async fn the_nodes_own_key_stays_with_its_provider() {
    let mut world = world().secret("api_key", "0wn");
    world.keys.own = Some("0wn".into());
    let output = ask(&world, json!({"model": "acme/m1"})).await.unwrap();
    assert_eq!(output["content"], "-|Hello|0wn");
    let fallback = json!({"model": "acme/busy", "fallback_model": "local/m1"});
    assert_eq!(ask(&world, fallback).await.unwrap()["content"], "-|Hello|-");
    let same = json!({"model": "acme/busy", "fallback_model": "acme/m2"});
    assert_eq!(ask(&world, same).await.unwrap()["content"], "-|Hello|0wn");
    let written = json!({"model": "{{ page.title }}"});
    world.node = serde_json::from_value(json!({"id": "n", "component": "LLMProcessor", "config": written})).unwrap();
    let error = ask(&world, json!({"model": "local/m1"})).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("config.model"), "{error}");
    // An address of one's own is no setting: providers are the operator's.
    let error = ask(&world, json!({"model": "acme/m1", "base_url": "https://evil.example"})).await.unwrap_err();
    assert_eq!(error.field.as_deref(), Some("config.base_url"), "{error}");
}
