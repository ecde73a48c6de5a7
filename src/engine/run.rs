//! One run of one task: what its nodes share.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{
    StopSignal, facts,
    meter::{NodeMeter, Unsettled},
    parts::Parts,
    past::Past,
    plans::{LoadError, Runnable},
    record::LineWrite,
    rest::Rest,
    room::{Answers, Held, Room},
    run_ledger::{Budget, RunLedger},
    secrets::RunSecrets,
};
use crate::{
    base::{Usd, weight},
    components::{ComponentError, Runtime, Totals},
    db, egress,
    tasks::lease::Claimed,
};

/// As they came, as the run's, and as templates see them.
const COPIES_OF_INPUTS: usize = 3;

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
    pub deadline: Option<Instant>,
    /// Nodes without a result. The last one's result is written with the finish.
    pub left: AtomicUsize,
    /// Of the nodes in work.
    meters: Mutex<Vec<Arc<NodeMeter>>>,
}

impl<'a> Run<'a> {
    pub async fn prepare(parts: &'a Parts, claimed: &'a Claimed, stop: &'a StopSignal) -> Result<Self, LoadError> {
        let scope = claimed.scope();
        let agency = scope.agency_id();
        let runnable = parts.plans.load(&parts.pool, &parts.components, &scope, claimed.recipe_id.into()).await?;
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
