//! A ledger line as it is written: the one place that knows its columns.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    base::{AuditId, Usd},
    components::{CallOutcome, CallStatus},
    engine::clean::Redactor,
};

/// A ledger line; the composite type `app.line_write`.
#[derive(Debug, Clone, Default, sqlx::Type)]
#[sqlx(type_name = "app.line_write")]
pub struct LineWrite {
    pub id: Uuid,
    pub task_id: Uuid,
    pub epoch: i64,
    pub node_id: String,
    pub occurrence: i32,
    pub call_no: i32,
    pub kind: String,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub status: String,
    pub tokens_used: i64,
    pub usage: Option<Value>,
    pub raw_usage: Option<Value>,
    pub cost_usd: Option<Decimal>,
    pub billed_usd: Decimal,
    pub price_id: Option<Uuid>,
    pub estimated: bool,
    pub flags: Vec<String>,
    pub execution_time_ms: i64,
    pub request_id: Option<String>,
    pub timestamp: DateTime<Utc>,
}

/// What a call cost.
#[derive(Debug, Clone, Copy)]
pub struct Charge {
    /// `None`: there is no price.
    pub cost: Option<Usd>,
    /// Whether the cost is of what was counted or reserved here, and not of what the provider reported.
    pub estimated: bool,
    /// The row of the price book.
    pub price_id: Option<Uuid>,
}

impl LineWrite {
    /// A line of `now`, about a task that is held under `epoch`.
    #[must_use]
    pub fn new(task_id: Uuid, epoch: i64, now: DateTime<Utc>) -> Self {
        Self { id: AuditId::at(now).0, task_id, epoch, timestamp: now, ..Self::default() }
    }

    /// Takes in how a call went, without the secrets that its provider may have repeated.
    #[must_use]
    pub fn with_outcome(mut self, outcome: &CallOutcome, redactor: &Redactor) -> Self {
        let (usage, metered) = (outcome.usage(), outcome.metered.as_ref());
        status(outcome.status).clone_into(&mut self.status);
        self.tokens_used = usage.map_or(0, |usage| i64::try_from(usage.total()).unwrap_or(i64::MAX));
        self.usage = usage.map(|usage| serde_json::to_value(usage).unwrap_or_default());
        // A server that repeats its request may do so anywhere in its answer.
        self.raw_usage = metered.and_then(|metered| metered.raw.clone()).map(|raw| redactor.cleaned(raw));
        if metered.is_some_and(|metered| metered.mismatch) {
            self.flags.push("usage_mismatch".to_owned());
        }
        self.execution_time_ms = i64::try_from(outcome.elapsed.as_millis()).unwrap_or(i64::MAX);
        self.request_id = outcome.request_id.as_deref().map(|id| redactor.text(id));
        self
    }

    /// Takes in what the call cost.
    #[must_use]
    pub fn with_charge(mut self, charge: Charge) -> Self {
        self.cost_usd = charge.cost.map(|cost| cost.to_ledger().0);
        self.price_id = charge.price_id;
        self.estimated = charge.estimated;
        if charge.cost.is_none() {
            self.flags.push("unpriced".to_owned());
        }
        self
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::base::{Metered, Usage};

    fn line(metered: Option<Metered>, cost: Option<Usd>) -> LineWrite {
        let elapsed = Duration::from_millis(7);
        let outcome = CallOutcome { status: CallStatus::Success, metered, request_id: Some("r-1".into()), elapsed };
        LineWrite::new(Uuid::nil(), 1, DateTime::UNIX_EPOCH)
            .with_outcome(&outcome, &Redactor::default())
            .with_charge(Charge { cost, estimated: false, price_id: None })
    }

    #[test]
    fn what_a_provider_sent_stands_in_the_line_to_the_letter_and_what_is_odd_is_flagged() {
        let usage = Usage { input: 3, output: 2, ..Usage::default() };
        let line = line(Some(Metered { usage, raw: Some(json!({"odd": 1})), mismatch: true, estimated: false }), None);
        assert_eq!((line.tokens_used, line.raw_usage, line.cost_usd), (5, Some(json!({"odd": 1})), None));
        assert_eq!(line.flags, ["usage_mismatch", "unpriced"]);
        assert_eq!(line.usage.unwrap()["output"], 2);
    }

    #[test]
    fn an_answer_that_nobody_counted_has_no_usage() {
        for metered in [None, Some(Metered::default())] {
            let line = line(metered, Some(Usd::ZERO));
            assert_eq!((line.tokens_used, line.usage, line.raw_usage), (0, None, None));
            assert_eq!((line.status.as_str(), line.execution_time_ms), ("success", 7));
            assert!(line.flags.is_empty() && line.cost_usd.is_some());
        }
    }
}
