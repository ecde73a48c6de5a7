//! One occurrence of a node: rendering, secrets, the component, and trying again.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tracing::info;

use super::{
    meter::NodeMeter,
    node::error_json,
    record::{Record, StepWrite},
    retry::Policy,
    run::{Outputs, Run},
    secrets::NodeKeys,
    turns::NodeTurns,
};
use crate::{
    base::random,
    catalog::{
        Step,
        model::{OnUnknown, RetryPolicy},
        template::Scope,
    },
    components::{ANSWER_LOST, CallStatus, ComponentError, Context, DEFAULT_MAX_PAGES, Retry},
};

/// A node that says nothing has this long for one attempt.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);

/// How an occurrence came out; the record is still to be written.
pub enum AttemptEnd {
    Done { output: Value, record: Record },
    Failed { error: ComponentError, record: Record },
    Stopped,
}

impl Run<'_> {
    pub(super) async fn occurrence(
        &self,
        step: &Step,
        scope: &Scope,
        outputs: &Outputs,
        occurrence: i32,
        closes_node: bool,
    ) -> AttemptEnd {
        let started_at = self.parts.clock.now();
        let meter = self.meter(step.node.id.as_str(), occurrence);
        let turns = NodeTurns::new(self.parts, self.claimed, step.node.id.as_str(), occurrence, &meter);
        let policy = policy(step.node.retry.as_ref());
        let mut attempts = 0;
        let result = loop {
            attempts += 1;
            let error = match self.attempt(step, scope, outputs, (&meter, &turns)).await {
                Ok(output) => break Ok(output),
                Err(error) if error.retry == Retry::Stop => return AttemptEnd::Stopped,
                Err(error) => error,
            };
            // Asking somebody comes later; until then a call that may have been
            // charged is not repeated without leave.
            if error.code == ANSWER_LOST && step.node.on_unknown != OnUnknown::Retry {
                break Err(error);
            }
            let Some(wait) = policy.wait(attempts, &error, jitter()) else { break Err(error) };
            info!(node = step.node.id.as_str(), attempts, code = error.code, ?wait, "trying again");
            tokio::time::sleep(wait).await;
        };
        let result = result.and_then(|output| self.secrets.redactor.output(output));
        self.forget(&meter);
        let lines = meter.drain(CallStatus::Unknown);
        let (tokens, cost) = meter.spent();
        let step = StepWrite {
            attempts: i32::try_from(attempts).unwrap_or(i32::MAX),
            tokens_used: i64::try_from(tokens).unwrap_or(i64::MAX),
            cost_usd: cost.to_ledger().0,
            closes_node,
            ..self.blank_step(step, occurrence, started_at)
        };
        match result {
            Ok(output) => {
                let step = StepWrite { output: Some(output.clone()), ..step };
                AttemptEnd::Done { output, record: Record { lines, step: Some(step), ..Record::default() } }
            }
            Err(error) => {
                let error = self.secrets.redactor.error(error);
                let step = StepWrite { status: "failed".to_owned(), error: Some(error_json(&error)), ..step };
                AttemptEnd::Failed { error, record: Record { lines, step: Some(step), ..Record::default() } }
            }
        }
    }

    async fn attempt(
        &self,
        step: &Step,
        scope: &Scope,
        outputs: &Outputs,
        (meter, turns): (&Arc<NodeMeter>, &NodeTurns<'_>),
    ) -> Result<Value, ComponentError> {
        let node = &step.node;
        let Some(component) = self.parts.component(&node.component) else {
            return Err(ComponentError::new(
                "component_unknown",
                format!("this installation has no component {}", node.component),
            )
            .field("component"));
        };
        let mut config = step.render(scope)?;
        self.clamp(&node.component, &mut config);
        let secrets = self.secrets.of_node(&node.secrets).await?;
        let own = secrets.iter().find(|(name, _)| name == "api_key").map(|(_, value)| value);
        let keys = NodeKeys { run: &self.secrets, own };
        let context = Context {
            runtime: &self.runtime,
            inputs: &self.inputs,
            nodes: outputs,
            node,
            secrets: &secrets,
            keys: &keys,
            meter: meter.as_ref(),
            turns,
            egress: &self.parts.egress,
            providers: &self.parts.providers,
            cancel: self.stop.token(),
        };
        let limit = node.timeout.map_or(DEFAULT_TIMEOUT, crate::catalog::model::Span::get);
        if let Ok(result) = tokio::time::timeout(limit, component.run(&context, &config)).await {
            return result;
        }
        meter.cut(CallStatus::Timeout);
        let message = format!("the node had {} s and did not finish", limit.as_secs());
        Err(ComponentError::new("node_timeout", message).field("timeout").retry(Retry::May { after: None }))
    }

    /// The cookbook's cap on crawled pages holds whatever the recipe says.
    fn clamp(&self, component: &str, config: &mut Map<String, Value>) {
        let Some(cap) = self.runnable.limits.max_pages_per_crawl else { return };
        if component == "WebCrawler" {
            clamp_pages(config, cap);
        }
        // An agent's tools are no way around it.
        let tools = config.get_mut("tools").filter(|_| component == "Agent").and_then(Value::as_array_mut);
        for tool in tools.into_iter().flatten().filter(|tool| tool["component"] == "WebCrawler") {
            if let Some(tool) = tool.as_object_mut() {
                let config = tool.entry("config").or_insert_with(|| Map::new().into());
                if config.is_null() {
                    *config = Map::new().into();
                }
                config.as_object_mut().into_iter().for_each(|config| clamp_pages(config, cap));
            }
        }
    }
}

fn clamp_pages(config: &mut Map<String, Value>, cap: u32) {
    let asked = match config.get("max_pages") {
        None | Some(Value::Null) => Some(DEFAULT_MAX_PAGES),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_u64(),
    };
    // What is no number is the component's to refuse.
    if asked.is_some_and(|pages| pages > u64::from(cap)) {
        config.insert("max_pages".to_owned(), cap.into());
    }
}

fn policy(given: Option<&RetryPolicy>) -> Policy {
    let default = Policy::default();
    given.map_or(default, |given| Policy {
        max_attempts: given.max_attempts.unwrap_or(default.max_attempts),
        initial_delay: given.initial_delay.map_or(default.initial_delay, crate::catalog::model::Span::get),
        max_delay: given.max_delay.map_or(default.max_delay, crate::catalog::model::Span::get),
    })
}

/// From 0 to 1. Without randomness the longest wait does too.
fn jitter() -> f64 {
    random::bytes::<1>().map_or(1.0, |[byte]| f64::from(byte) / 255.0)
}
