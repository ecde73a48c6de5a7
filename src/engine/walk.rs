//! The walk of the graph, from claim to finish.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::{
    StopReason, StopSignal,
    accept::Outputs,
    facts,
    finish::{self, Outcome, WalkEnd},
    node_end::NodeEnd,
    parts::Parts,
    record::Record,
    rest::come_back,
    run::Run,
};
use crate::{catalog::template::Scope, components::ComponentError, tasks::lease::Claimed};

pub async fn run(parts: &Parts, claimed: Claimed, stop: &StopSignal) -> Outcome {
    let run = match Run::prepare(parts, &claimed, stop).await {
        Ok(run) => run,
        Err(error) => return finish::unprepared(parts, &claimed, error).await,
    };
    let mut unwritten = None;
    let end = run.walk(&mut unwritten).await;
    run.finish(end, unwritten.unwrap_or_default()).await
}

impl Run<'_> {
    /// `unwritten` gets the last node's result, which is to go with the finish, however the walk ends.
    async fn walk(&self, unwritten: &mut Option<Record>) -> WalkEnd {
        let steps = self.runnable.plan.steps();
        let mut scope = Scope::new(&self.inputs, facts::for_templates(&self.runtime));
        let mut outputs = Outputs::new();
        let mut waiting: Vec<usize> = steps.iter().map(|step| step.depends_on.len()).collect();
        let mut ready: Vec<usize> = (0..steps.len()).filter(|index| waiting[*index] == 0).collect();
        let mut in_work = FuturesUnordered::new();
        let mut failure = None;
        let mut no_room = false;
        loop {
            // After a failure nothing new starts; what runs may finish, and its result is kept.
            for index in ready.drain(..).filter(|_| failure.is_none() && !no_room) {
                let (scope, outputs) = (scope.clone(), outputs.clone());
                in_work.push(async move { (index, self.node(index, &scope, &outputs).await) });
            }
            let ended = tokio::select! {
                biased;
                reason = self.stop.stopped() => return WalkEnd::Stopped(reason),
                () = over(self.deadline) => return WalkEnd::Failed { node_id: None, error: overdue() },
                ended = in_work.next() => ended,
                alone = self.rest.settled() => {
                    let doomed = || self.doomed.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if failure.is_none() {
                        failure = doomed();
                    }
                    // What waits is of no use any more.
                    match failure {
                        Some(_) => break,
                        None if no_room => break,
                        None if self.room.is_short() => {
                            return WalkEnd::Waiting(self.until_deadline(alone.min(come_back())));
                        }
                        None => return WalkEnd::Waiting(self.until_deadline(alone)),
                    }
                }
            };
            let Some((index, end)) = ended else { break };
            let node_id = steps[index].node.id.as_str();
            match end {
                NodeEnd::Done { output, unwritten: last } => {
                    scope.finish_kept(node_id, &output.kept);
                    outputs.insert(node_id.to_owned(), Arc::new(output));
                    *unwritten = last.or(unwritten.take());
                }
                NodeEnd::Skipped { unwritten: last } => {
                    scope.skip(node_id);
                    *unwritten = last.or(unwritten.take());
                }
                NodeEnd::Failed(error) => {
                    failure.get_or_insert((node_id.to_owned(), error));
                    continue;
                }
                NodeEnd::NoRoom => {
                    no_room = true;
                    continue;
                }
                NodeEnd::Unwritten(error) => return WalkEnd::Unwritten(error),
                NodeEnd::Stopped => return WalkEnd::Stopped(self.stop.reason().unwrap_or(StopReason::LeaseLost)),
            }
            for dependent in &steps[index].dependents {
                waiting[*dependent] -= 1;
                if waiting[*dependent] == 0 {
                    ready.push(*dependent);
                }
            }
        }
        drop(in_work);
        match failure {
            Some((node_id, error)) => WalkEnd::Failed { node_id: Some(node_id), error },
            // What is done is committed. Others have room then, and so will this one.
            None if no_room => WalkEnd::Waiting(self.until_deadline(come_back())),
            None => WalkEnd::Completed { scope, outputs },
        }
    }

    fn until_deadline(&self, alone: Duration) -> Duration {
        self.deadline.map_or(alone, |deadline| alone.min(deadline.saturating_duration_since(Instant::now())))
    }
}

/// Never, without a deadline.
async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn overdue() -> ComponentError {
    ComponentError::new("task_timeout", "the task did not end within workflow.timeout").field("workflow.timeout")
}
