//! `SubscriptionTracker`: the metering of the task so far. Metering itself is the
//! engine's, so that a recipe without this node is counted just the same.

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::{Component, ComponentError, Context};
use crate::catalog::components::{self, ComponentSpec};

#[derive(Debug)]
pub struct SubscriptionTracker;

#[async_trait]
impl Component for SubscriptionTracker {
    fn spec(&self) -> &'static ComponentSpec {
        &components::SUBSCRIPTION_TRACKER
    }

    /// Every key of the config is accepted and given back: recipes put ids and
    /// labels of their own there. What was measured cannot be overwritten.
    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        let totals = context.meter.totals();
        let runtime = context.runtime;
        let mut output = Map::from_iter([
            ("task_id".to_owned(), json!(runtime.task_id)),
            ("agency_id".to_owned(), json!(runtime.agency_id)),
            ("team_id".to_owned(), json!(runtime.team_id)),
            ("agent_instance_id".to_owned(), json!(runtime.agent_instance_id)),
        ]);
        output.extend(config.clone());
        output.insert("calls".to_owned(), json!(totals.calls));
        output.insert("tokens_used".to_owned(), json!(totals.tokens));
        output.insert("cost_usd".to_owned(), json!(totals.cost));
        Ok(Value::Object(output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::{Metered, Usage},
        components::{CallKind, CallOutcome, CallStatus, Meter as _, outgoing, testing::World},
    };

    #[tokio::test]
    async fn gives_the_totals_and_the_ids() {
        let world = World::allowing(&[]);
        let call = world.meter.begin(outgoing::new_call(CallKind::Llm, "x".into())).await.unwrap();
        let mut outcome = CallOutcome::without_usage(CallStatus::Success, std::time::Duration::ZERO);
        let usage = Usage { input: 5, output: 2, ..Usage::default() };
        outcome.metered = Some(Metered { usage, ..Metered::default() });
        world.meter.settle(call, outcome).await;
        let output =
            world.run(&SubscriptionTracker, json!({"subscription_id": "s-1", "tokens_used": 0})).await.unwrap();
        assert_eq!(output["calls"], 1);
        assert_eq!(output["tokens_used"], 7, "the config cannot change what was measured");
        assert_eq!(output["cost_usd"], "0.007");
        assert_eq!(output["subscription_id"], "s-1");
        assert_eq!(output["team_id"], "00000000-0000-0000-0000-000000000000");
    }
}
