//! One occurrence of a node: tried, tried again, and its result made ready to be written.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio::time::Instant;
use tracing::info;

use super::{
    accept::{Accepted, Output, Part, Writing},
    cache::Slot,
    caps,
    meter::{self, NodeMeter, Unsettled},
    node_end::error_json,
    past::Progress,
    record::{ProgressWrite, Record, StepWrite},
    rest::Nap,
    retry::{self, Policy},
    room::Passing,
    run::Run,
    secrets::NodeKeys,
    turns::NodeTurns,
    work::{Tally, Work},
};
use crate::{
    base::{Usd, random, weight},
    catalog::{
        Step,
        components::Waits,
        model::{Node, OnUnknown, RetryPolicy},
    },
    components::{ANSWER_LOST, CallStatus, Component, ComponentError, Context, Retry},
};

/// A node that says nothing has this long for one attempt.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);

/// How an occurrence came out; the record is still to be written. Without an output there
/// was no room for it.
pub enum AttemptEnd {
    Done { output: Option<Output>, record: Record, writing: Writing },
    Failed { error: ComponentError, record: Record },
    Stopped,
}

/// The ledger's side of a node's calls, and the turns of its agent.
type Meters<'a> = (&'a Arc<NodeMeter>, &'a NodeTurns<'a>);

impl Run<'_> {
    pub(super) async fn occurrence(&self, work: &Work<'_>, part: Part) -> AttemptEnd {
        let before = self.past.progress.get(&(work.node_id().to_owned(), work.occurrence));
        let meter = self.meter(work.node_id(), work.occurrence);
        let mut tally = Tally::of(before, self.parts.clock.now());
        let result = match work.step.node.spec().and_then(|spec| spec.waits) {
            Some(Waits::ForPeople) => {
                tally.attempts = 1;
                self.with_room(self.approval(work).await).await
            }
            Some(Waits::ForTask) => self.with_room(self.sub_recipe(work, &mut tally).await).await,
            None => self.tries(work, &meter, &mut tally, before).await,
        };
        if result.as_ref().is_err_and(|error| error.retry == Retry::Stop) {
            return AttemptEnd::Stopped;
        }
        let result = match result {
            Ok((output, room)) => self.accept(output, room, part).await,
            Err(error) => Err(error),
        };
        if let (Ok(accepted), Some(slot), false) = (&result, &tally.slot, tally.cached) {
            self.parts.kept.put(slot, accepted.text.as_str()).await;
        }
        self.forget(&meter);
        let lines = meter.take_lines(Unsettled::AreLost);
        let (tokens, cost) = spent(&tally, &meter);
        let step = StepWrite {
            attempts: i32::try_from(tally.attempts).unwrap_or(i32::MAX),
            tokens_used: tokens,
            cost_usd: cost.0,
            closes_node: part == Part::Whole,
            cached: tally.cached,
            ..self.blank_step(work.step, work.occurrence, tally.started_at)
        };
        match result {
            Ok(Accepted { text, output, writing }) => {
                let step = StepWrite { output: Some(text), ..step };
                let record = Record { lines, step: Some(step), ..Record::default() };
                AttemptEnd::Done { output, record, writing }
            }
            Err(error) => {
                let error = self.secrets.redactor.error(error);
                let step = StepWrite { status: "failed".to_owned(), error: Some(error_json(&error)), ..step };
                AttemptEnd::Failed { error, record: Record { lines, step: Some(step), ..Record::default() } }
            }
        }
    }

    /// What was waited for, and room for it.
    async fn with_room(&self, value: Result<Value, ComponentError>) -> Result<(Value, Passing), ComponentError> {
        let value = value?;
        let room = self.room.pass(weight::of(&value)).await?;
        Ok((value, room))
    }

    /// Tries until it is done, or may not be tried again. Goes on where an earlier claim stopped.
    async fn tries(
        &self,
        work: &Work<'_>,
        meter: &Arc<NodeMeter>,
        tally: &mut Tally,
        before: Option<&Progress>,
    ) -> Result<(Value, Passing), ComponentError> {
        if let Some(call_no) = self.past.lost_calls.get(&(work.node_id().to_owned(), work.occurrence)) {
            self.after_lost_call(work, *call_no, Vec::new).await?;
        }
        if let Some(progress) = before {
            self.rest.sleep(Nap::Until(Instant::now() + progress.wait), progress.wait).await;
        }
        let policy = policy(work.step.node.retry.as_ref());
        let turns = NodeTurns::new(self.parts, self.claimed, &self.room, work.node_id(), work.occurrence, meter);
        loop {
            tally.attempts += 1;
            let error = match self.attempt(work, (meter, &turns), tally).await {
                Err(error) if error.retry != Retry::Stop => error,
                ended => return ended,
            };
            // A call that may have been charged is not repeated without leave.
            let is_lost = error.code == ANSWER_LOST || meter.lost_at_last().is_some();
            if is_lost && work.step.node.on_unknown != OnUnknown::Retry {
                self.after_lost_call(work, meter.last_no(), || meter.take_lines(Unsettled::AreLost)).await?;
                continue;
            }
            let Some(wait) = self.wait(work, tally, policy, &error) else { return Err(error) };
            info!(node = work.node_id(), attempts = tally.attempts, code = error.code, ?wait, "trying again");
            self.remember(work, meter, tally, &error, wait).await?;
            self.rest.sleep(Nap::Until(Instant::now() + wait), wait).await;
        }
    }

    /// How long to wait before the next try, if there is one. One that a slowed key put
    /// off does not count as failed, for as long as one try may take.
    fn wait(&self, work: &Work<'_>, tally: &mut Tally, policy: Policy, error: &ComponentError) -> Option<Duration> {
        if let Retry::Slowed { after } = error.retry {
            let age = (self.parts.clock.now() - tally.started_at).to_std().unwrap_or_default();
            if let Some(wait) = retry::slowed_wait(tally.slowed + 1, age, limit(&work.step.node), after, jitter()) {
                tally.attempts -= 1;
                tally.slowed += 1;
                return Some(wait);
            }
        }
        policy.wait(tally.attempts, error, jitter())
    }

    /// Writes the try that failed, so that whoever goes on does not count anew.
    async fn remember(
        &self,
        work: &Work<'_>,
        meter: &NodeMeter,
        tally: &Tally,
        error: &ComponentError,
        wait: Duration,
    ) -> Result<(), ComponentError> {
        let lines = meter.take_lines(Unsettled::AreLost);
        let (tokens_used, cost) = spent(tally, meter);
        let progress = ProgressWrite {
            task_id: self.claimed.id,
            epoch: self.claimed.epoch,
            node_id: work.node_id().to_owned(),
            occurrence: work.occurrence,
            attempts: i32::try_from(tally.attempts).unwrap_or(i32::MAX),
            slowed: i32::try_from(tally.slowed).unwrap_or(i32::MAX),
            tokens_used,
            cost_usd: cost.0,
            error: Some(error_json(&self.secrets.redactor.error(error.clone()))),
            started_at: tally.started_at,
            delay_ms: i64::try_from(wait.as_millis()).unwrap_or(i64::MAX),
        };
        let record = Record { lines, progress: Some(progress), ..Record::default() };
        self.write(record).await.map_err(|error| meter::stop(&error))
    }

    /// What the component gave, and the room that it has.
    async fn attempt(
        &self,
        work: &Work<'_>,
        meters: Meters<'_>,
        tally: &mut Tally,
    ) -> Result<(Value, Passing), ComponentError> {
        let node = &work.step.node;
        let Some(component) = self.parts.component(&node.component) else {
            return Err(ComponentError::new(
                "component_unknown",
                format!("this installation has no component {}", node.component),
            )
            .field("component"));
        };
        let rendering = self.room.rendering().await?;
        let mut config = self.render(work.step, work.scope, Step::render).await?;
        caps::clamp(&self.runnable.limits, component.spec(), &mut config);
        // A component may give what it was given, as another value.
        let room = self.room.pass(2 * weight_of(&config)).await?;
        drop(rendering);
        tally.slot = Slot::of(node, &config, &self.runtime, &self.inputs);
        if let Some(slot) = &tally.slot
            && let Some(found) = self.parts.kept.get(slot).await
        {
            tally.cached = true;
            return Ok((found, room));
        }
        Ok((self.carry_out(work, meters, component, &config).await?, room))
    }

    async fn carry_out(
        &self,
        work: &Work<'_>,
        (meter, turns): Meters<'_>,
        component: &dyn Component,
        config: &Map<String, Value>,
    ) -> Result<Value, ComponentError> {
        let node = &work.step.node;
        let secrets = self.secrets.of_node(&node.secrets).await?;
        let own = secrets.iter().find(|secret| secret.local == "api_key");
        let keys = NodeKeys { run: &self.secrets, own };
        let context = Context {
            runtime: &self.runtime,
            inputs: &self.inputs,
            nodes: work.outputs,
            node,
            secrets: &secrets,
            keys: &keys,
            meter: meter.as_ref(),
            turns,
            apart: &self.parts.apart,
            egress: &self.egress,
            providers: &self.parts.providers,
            cancel: self.stop.token(),
        };
        let limit = limit(node);
        if let Ok(result) = tokio::time::timeout(limit, component.run(&context, config)).await {
            return result;
        }
        meter.cut(CallStatus::Timeout);
        let message = format!("the node had {limit:?} and did not finish");
        Err(ComponentError::new("node_timeout", message).field("timeout").retry(Retry::May { after: None }))
    }
}

fn weight_of(config: &Map<String, Value>) -> usize {
    config.values().map(weight::of).sum()
}

/// What one try may take.
fn limit(node: &Node) -> Duration {
    node.timeout.map_or(DEFAULT_TIMEOUT, crate::catalog::model::Span::get)
}

/// Tokens and cost of the node, of all claims.
fn spent(tally: &Tally, meter: &NodeMeter) -> (i64, Usd) {
    let (tokens, cost) = meter.spent();
    (i64::try_from(tally.tokens + tokens).unwrap_or(i64::MAX), (tally.cost + cost).to_ledger())
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
