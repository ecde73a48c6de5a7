//! The ledger's side of a node's calls: intent before, line after, money in between.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::{
    clean::Redactor,
    record::{IntentWrite, LineWrite, Record, RecordError},
    run_ledger::RunLedger,
};
use crate::{
    base::{AuditId, Usd},
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

    /// The lines that wait to be written with the node's result.
    #[must_use]
    pub fn drain(&self, cut_off: CallStatus) -> Vec<LineWrite> {
        self.cut(cut_off);
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

    /// The lines of calls that are over, for whoever writes them before the node's result.
    #[must_use]
    pub fn settled(&self) -> Vec<LineWrite> {
        std::mem::take(&mut self.calls().lines)
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
        let (cost, estimated) = charge(&open, outcome);
        let usage = outcome.usage.unwrap_or_default();
        let tokens = usage.total();
        let mut flags = Vec::new();
        if outcome.usage_mismatch {
            flags.push("usage_mismatch".to_owned());
        }
        if cost.is_none() {
            flags.push("unpriced".to_owned());
        }
        let line = LineWrite {
            kind: kind(open.call.kind).to_owned(),
            provider: open.call.provider,
            model: open.call.model,
            status: status(outcome.status).to_owned(),
            tokens_used: i64::try_from(tokens).unwrap_or(i64::MAX),
            usage: outcome.usage.map(|u| serde_json::to_value(u).unwrap_or_default()),
            // A server that repeats its request may do so anywhere in its answer.
            raw_usage: outcome.raw_usage.clone().map(|raw| self.redactor.cleaned(raw)),
            cost_usd: cost.map(|c| c.to_ledger().0),
            price_id: open.price.map(|p| p.row_for(&usage).id().0),
            estimated,
            flags,
            execution_time_ms: i64::try_from(outcome.elapsed.as_millis()).unwrap_or(i64::MAX),
            request_id: outcome.request_id.as_deref().map(|id| self.redactor.text(id)),
            ..self.blank_line(call_no)
        };
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

    fn blank_line(&self, call_no: i32) -> LineWrite {
        let now = self.run.clock.now();
        LineWrite {
            id: AuditId::at(now).0,
            task_id: self.run.claim.0,
            epoch: self.run.claim.1,
            node_id: self.node_id.clone(),
            occurrence: self.occurrence,
            call_no,
            timestamp: now,
            ..LineWrite::default()
        }
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
        let (call_no, lines) = {
            let mut calls = self.calls();
            calls.last_no += 1;
            (calls.last_no, std::mem::take(&mut calls.lines))
        };
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

/// What the call cost, and whether that is an estimate. `None`: there is no price.
/// An answer that was lost may have been charged: its reservation stands in.
fn charge(open: &OpenCall, outcome: &CallOutcome) -> (Option<Usd>, bool) {
    if open.call.kind != CallKind::Llm {
        return (Some(Usd::ZERO), false);
    }
    match (&open.price, &outcome.usage, outcome.status) {
        (None, ..) => (None, outcome.estimated),
        // Of an answer that was cut off, what arrived is charged.
        (Some(price), Some(usage), _) => (Some(price.cost(usage)), outcome.estimated),
        (Some(_), None, CallStatus::Failed) => (Some(Usd::ZERO), false),
        // Lost, or an answer without a count: charged, but nobody said how much.
        (Some(_), None, CallStatus::Timeout | CallStatus::Unknown | CallStatus::Success) => (Some(open.reserved), true),
    }
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

fn status(status: CallStatus) -> &'static str {
    match status {
        CallStatus::Success => "success",
        CallStatus::Failed => "failed",
        CallStatus::Timeout => "timeout",
        CallStatus::Unknown => "unknown",
    }
}
