//! The walk of the graph: nodes whose dependencies are done run in parallel.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{
    Outcome, Parts, StopReason, StopSignal,
    accept::{Output, Outputs},
    facts,
    meter::{NodeMeter, Unsettled},
    past::Past,
    plans::{LoadError, Runnable},
    record::{LineWrite, Record, RecordError},
    rest::Rest,
    room::{Answers, Held, Room},
    run_ledger::{Budget, RunLedger},
    secrets::RunSecrets,
};
use crate::{
    base::{Usd, random, weight},
    catalog::template::Scope,
    components::{ComponentError, Runtime, Totals},
    db, egress,
    tasks::lease::Claimed,
};

/// As they came, as the run's, and as templates see them.
const COPIES_OF_INPUTS: usize = 3;
const SOON: Duration = Duration::from_secs(1);

/// One run of one task.
pub struct Run<'a> {
    pub parts: &'a Parts,
    pub claimed: &'a Claimed,
    pub runnable: Arc<Runnable>,
    pub runtime: Runtime,
    pub inputs: Map<String, Value>,
    pub ledger: Arc<RunLedger>,
    pub secrets: RunSecrets,
    pub stop: &'a StopSignal,
    pub past: Past,
    pub room: Arc<Room>,
    /// Takes answers into the room.
    pub egress: egress::Client,
    /// For the inputs.
    _inputs: Held,
    /// Which nodes are at work and which wait.
    pub rest: Rest,
    /// The failure of a node whose other items still wait.
    pub doomed: Mutex<Option<(String, ComponentError)>>,
    /// When the workflow's own time is over.
    deadline: Option<Instant>,
    /// Nodes without a result. The last one's result is written with the finish.
    pub left: AtomicUsize,
    /// Of the nodes in work.
    meters: Mutex<Vec<Arc<NodeMeter>>>,
}

/// How a node came out.
pub enum NodeEnd {
    /// `unwritten` is to go with the finish.
    Done {
        output: Output,
        unwritten: Option<Record>,
    },
    Skipped {
        unwritten: Option<Record>,
    },
    /// Its failure is committed.
    Failed(ComponentError),
    Unwritten(RecordError),
    /// Others have the room for its output; if it has one, it is committed.
    NoRoom,
    /// The run was told to stop.
    Stopped,
}

/// How the walk ended.
pub enum WalkEnd {
    Completed {
        scope: Scope,
        outputs: Outputs,
    },
    Failed {
        node_id: Option<String>,
        error: ComponentError,
    },
    /// Nothing can go on before somebody answers, another task ends, or this time is over.
    Waiting(Duration),
    Unwritten(RecordError),
    Stopped(StopReason),
}

pub async fn run(parts: &Parts, claimed: Claimed, stop: &StopSignal) -> Outcome {
    let run = match Run::prepare(parts, &claimed, stop).await {
        Ok(run) => run,
        Err(error) => return super::finish::unprepared(parts, &claimed, error).await,
    };
    let mut unwritten = None;
    let end = run.walk(&mut unwritten).await;
    run.finish(end, unwritten.unwrap_or_default()).await
}

impl<'a> Run<'a> {
    async fn prepare(parts: &'a Parts, claimed: &'a Claimed, stop: &'a StopSignal) -> Result<Self, LoadError> {
        let scope = claimed.scope();
        let agency = scope.agency_id();
        let runnable = parts.plan(&scope, claimed.recipe_id.into()).await?;
        let room = Room::new(&parts.rooms, agency);
        let held = room.hold(COPIES_OF_INPUTS * weight::of(&claimed.inputs))?;
        let past = db::bounded(db::ANSWER_WITHIN, Past::read(&scope, &parts.pool, claimed, &room)).await??;
        let prices = parts.prices.current();
        let recipe = runnable.plan.recipe();
        let own = recipe.budget.max_tokens;
        let bound = past.lent_tokens.filter(|bound| own.is_none_or(|own| *bound < own));
        let budget = Budget {
            max_cost: claimed.budget_usd.map(Usd),
            max_tokens: bound.or(own),
            tokens_are_lent: bound.is_some(),
        };
        let before =
            Totals { calls: 0, tokens: u64::try_from(claimed.tokens_used).unwrap_or(0), cost: Usd(claimed.cost_usd) };
        let claim = (claimed.id, claimed.epoch);
        let (recorder, clock) = (parts.recorder.clone(), Arc::clone(&parts.clock));
        let ledger =
            Arc::new(RunLedger::new(claim, agency, budget, Arc::clone(&prices), recorder, clock, before, past.lent));
        let secrets = RunSecrets {
            locker: Arc::clone(&parts.locker),
            pool: parts.pool.clone(),
            scope: claimed.scope(),
            redactor: Arc::default(),
            prices,
            providers: parts.providers.clone(),
        };
        let inputs = claimed.inputs.as_object().cloned().unwrap_or_default();
        let to_do = AtomicUsize::new(runnable.plan.steps().len());
        let runtime = facts::runtime(claimed);
        let timeout = recipe.workflow.timeout.map(|timeout| timeout.get().saturating_sub(past.elapsed));
        let deadline = timeout.map(|left| Instant::now() + left);
        Ok(Self {
            parts,
            claimed,
            runnable,
            runtime,
            inputs,
            ledger,
            secrets,
            stop,
            past,
            egress: parts.egress.within(Arc::new(Answers(Arc::clone(&room)))),
            room,
            _inputs: held,
            rest: Rest::default(),
            doomed: Mutex::default(),
            deadline,
            left: to_do,
            meters: Mutex::default(),
        })
    }

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

    /// A meter for an occurrence of a node, known to the run until it is forgotten.
    pub fn meter(&self, node_id: &str, occurrence: i32) -> Arc<NodeMeter> {
        let last = self.past.last_calls.get(&(node_id.to_owned(), occurrence)).copied().unwrap_or(0);
        let (ledger, redactor) = (Arc::clone(&self.ledger), Arc::clone(&self.secrets.redactor));
        let meter = Arc::new(NodeMeter::new(ledger, node_id.to_owned(), occurrence, last, redactor));
        self.meters.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&meter));
        meter
    }

    /// For a meter whose lines are on their way to the ledger.
    pub fn forget(&self, meter: &Arc<NodeMeter>) {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| !Arc::ptr_eq(known, meter));
    }

    /// The lines of calls that were in flight when the run was stopped.
    pub fn cut_off(&self) -> Vec<LineWrite> {
        let meters = std::mem::take(&mut *self.meters.lock().unwrap_or_else(PoisonError::into_inner));
        meters.iter().flat_map(|meter| meter.take_lines(Unsettled::AreLost)).collect()
    }

    /// Whether this is the last node without a result.
    pub fn is_last(&self) -> bool {
        self.left.load(Ordering::Acquire) == 1
    }
}

/// When a run looks again whether there is room. So far apart that of two, each with what the
/// other needs, one has gone on before the other is back.
pub fn come_back() -> Duration {
    SOON + 5 * SOON.mul_f64(random::bytes::<1>().map_or(1.0, |[byte]| f64::from(byte) / 255.0))
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
