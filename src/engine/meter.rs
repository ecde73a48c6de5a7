//! The ledger's side of a node's calls: intent before, line after, money in between.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::{
    clean::Redactor,
    record::{Charge, IntentWrite, LineWrite, Record, RecordError},
    run_ledger::RunLedger,
};
use crate::{
    base::Usd,
    billing::Price,
    components::{CallKind, CallOutcome, CallStatus, ComponentError, Meter, NewCall, Retry, Totals},
};

/// The meter of one node, or of one item of its `for_each`.
#[derive(Debug)]
pub struct NodeMeter {
    run: Arc<RunLedger>,
    node_id: String,
    occurrence: i32,
    redactor: Arc<Redactor>,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    last_no: i32,
    /// The last call whose answer was lost under this claim.
    last_lost: Option<i32>,
    open: BTreeMap<i32, OpenCall>,
    /// Settled, and not yet written.
    lines: Vec<LineWrite>,
    tokens: u64,
    cost: Usd,
}

/// What becomes of calls that nobody settled, when lines are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    /// They are still under way.
    Go,
    /// Their futures were dropped: their answers are lost.
    AreLost,
}

#[derive(Debug)]
struct OpenCall {
    call: NewCall,
    price: Option<Price>,
    reserved: Usd,
}

impl NodeMeter {
    /// `last_call_no`: the highest number that older claims used.
    #[must_use]
    pub fn new(
        run: Arc<RunLedger>,
        node_id: String,
        occurrence: i32,
        last_call_no: i32,
        redactor: Arc<Redactor>,
    ) -> Self {
        let calls = Mutex::new(Calls { last_no: last_call_no, ..Calls::default() });
        Self { run, node_id, occurrence, redactor, calls }
    }

    /// Closes calls that nobody settled, because their future was dropped.
    pub fn cut(&self, status: CallStatus) {
        let open: Vec<i32> = self.calls().open.keys().copied().collect();
        for call_no in open {
            let outcome = self.calls().open.get(&call_no).map(|open| open.call.cut(status));
            outcome.and_then(|outcome| self.close(call_no, &outcome));
        }
    }

    /// Takes the lines of calls that are over, for whoever writes next: they are in no other write.
    #[must_use]
    pub fn take_lines(&self, unsettled: Unsettled) -> Vec<LineWrite> {
        if unsettled == Unsettled::AreLost {
            self.cut(CallStatus::Unknown);
        }
        std::mem::take(&mut self.calls().lines)
    }

    /// The number of the last call, if its answer was lost.
    #[must_use]
    pub fn lost_at_last(&self) -> Option<i32> {
        let calls = self.calls();
        calls.last_lost.filter(|lost| *lost == calls.last_no)
    }

    /// The number of the last call begun, of all claims.
    #[must_use]
    pub fn last_no(&self) -> i32 {
        self.calls().last_no
    }

    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Tokens and cost of this node under this claim.
    #[must_use]
    pub fn spent(&self) -> (u64, Usd) {
        let calls = self.calls();
        (calls.tokens, calls.cost)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, call_no: i32, outcome: &CallOutcome) -> Option<Usd> {
        let open = self.calls().open.remove(&call_no)?;
        let charge = charge(&open, outcome);
        let (tokens, cost) = (outcome.usage().unwrap_or_default().total(), charge.cost);
        let (task_id, epoch) = self.run.claim;
        let line = LineWrite {
            node_id: self.node_id.clone(),
            occurrence: self.occurrence,
            call_no,
            kind: kind(open.call.kind).to_owned(),
            provider: open.call.provider,
            model: open.call.model,
            ..LineWrite::new(task_id, epoch, self.run.clock.now())
        };
        let line = line.with_outcome(outcome, &self.redactor).with_charge(charge);
        let spent_now = cost.unwrap_or_default().to_ledger();
        self.run.spend(open.reserved, tokens, spent_now);
        let mut calls = self.calls();
        if outcome.status == CallStatus::Unknown {
            calls.last_lost = calls.last_lost.max(Some(call_no));
        }
        calls.tokens += tokens;
        calls.cost += spent_now;
        calls.lines.push(line);
        cost
    }
}

#[async_trait]
impl Meter for NodeMeter {
    async fn begin(&self, call: NewCall) -> Result<u32, ComponentError> {
        let price = match (&call.provider, &call.model) {
            (Some(provider), Some(model)) if call.kind == CallKind::Llm => {
                self.run.prices.price(self.run.agency, provider, model, self.run.clock.now()).cloned()
            }
            _ => None,
        };
        let reserved = self.run.reserve(&call, price.as_ref())?;
        let call_no = {
            let mut calls = self.calls();
            calls.last_no += 1;
            calls.last_no
        };
        let lines = self.take_lines(Unsettled::Go);
        let intent = IntentWrite {
            task_id: self.run.claim.0,
            epoch: self.run.claim.1,
            node_id: self.node_id.clone(),
            occurrence: self.occurrence,
            call_no,
            kind: kind(call.kind).to_owned(),
            provider: call.provider.clone(),
            model: call.model.clone(),
            request_hash: Sha256::digest(call.fingerprint.as_bytes()).to_vec(),
            reserved_usd: reserved.to_ledger().0,
            price_id: price.as_ref().map(|p| p.id().0),
        };
        // Open from here on: if this wait is cut off, the intent may be written all
        // the same, and a line has to follow it.
        self.calls().open.insert(call_no, OpenCall { call, price, reserved });
        let record = Record { intent: Some(intent), lines, ..Record::default() };
        self.run.recorder.write(self.run.claim, record).await.map_err(|error| stop(&error))?;
        Ok(call_no.unsigned_abs())
    }

    async fn settle(&self, call_no: u32, outcome: CallOutcome) -> Option<Usd> {
        self.close(i32::try_from(call_no).ok()?, &outcome)
    }

    fn totals(&self) -> Totals {
        self.run.totals()
    }
}

/// What the call cost. An answer that was lost may have been charged: its reservation stands in.
fn charge(open: &OpenCall, outcome: &CallOutcome) -> Charge {
    let usage = outcome.usage();
    let price_id = open.price.as_ref().map(|price| price.row_for(&usage.unwrap_or_default()).id().0);
    let (cost, estimated) = match (&open.price, usage, outcome.status) {
        _ if open.call.kind != CallKind::Llm => (Some(Usd::ZERO), false),
        (None, ..) => (None, outcome.is_estimated()),
        // Of an answer that was cut off, what arrived is charged.
        (Some(price), Some(usage), _) => (Some(price.cost(&usage)), outcome.is_estimated()),
        (Some(_), None, CallStatus::Failed) => (Some(Usd::ZERO), false),
        // Lost, or an answer without a count: charged, but nobody said how much.
        (Some(_), None, CallStatus::Timeout | CallStatus::Unknown | CallStatus::Success) => (Some(open.reserved), true),
    };
    Charge { cost, estimated, price_id }
}

/// A run that cannot write is over on this worker; the next claim goes on from the last checkpoint.
#[must_use]
pub fn stop(error: &RecordError) -> ComponentError {
    ComponentError::new("run_stopped", error.to_string()).retry(Retry::Stop)
}

fn kind(kind: CallKind) -> &'static str {
    match kind {
        CallKind::Llm => "llm",
        CallKind::Http => "http",
        CallKind::Crawl => "crawl",
    }
}
