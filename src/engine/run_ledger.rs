//! The money of one run: what is spent, what is reserved, and the recipe's bounds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, futures::Notified};

use super::record::{Claim, Recorder};
use crate::{
    base::{AgencyId, Clock, Usd},
    billing::{Price, PriceBook},
    components::{CallKind, ComponentError, NewCall, Totals},
};

/// What all nodes of a run share: the claim, its money, the writer.
#[derive(Debug)]
pub struct RunLedger {
    pub claim: Claim,
    pub agency: AgencyId,
    pub budget: Budget,
    pub prices: Arc<PriceBook>,
    pub recorder: Recorder,
    pub clock: Arc<dyn Clock>,
    spent: Mutex<Spent>,
    /// Told when a loan comes back.
    returned: Notify,
}

/// The recipe's own bounds of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    pub max_cost: Option<Usd>,
    pub max_tokens: Option<u64>,
    /// The tokens are what the task that started this one had left.
    pub tokens_are_lent: bool,
}

/// What a sub-recipe's task may spend; `None`: as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loan {
    pub cost: Option<Usd>,
    pub tokens: Option<u64>,
}

/// Loans that are not back yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lent {
    pub tasks: u64,
    pub cost: Usd,
    pub tokens: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    totals: Totals,
    reserved: Usd,
    lent: Lent,
}

impl RunLedger {
    /// `before` is spent already, `lent` what the tasks of sub-recipes may still spend.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "each is a fact of the run")]
    pub fn new(
        claim: Claim,
        agency: AgencyId,
        budget: Budget,
        prices: Arc<PriceBook>,
        recorder: Recorder,
        clock: Arc<dyn Clock>,
        before: Totals,
        lent: Lent,
    ) -> Self {
        let spent = Mutex::new(Spent { totals: before, reserved: Usd::ZERO, lent });
        Self { claim, agency, budget, prices, recorder, clock, spent, returned: Notify::new() }
    }

    #[must_use]
    pub fn totals(&self) -> Totals {
        self.spent().totals
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the reservation aside, or says which bound it would break.
    pub fn reserve(&self, call: &NewCall, price: Option<&Price>) -> Result<Usd, ComponentError> {
        if call.kind != CallKind::Llm {
            return Ok(Usd::ZERO);
        }
        let (prompt, answer) = call.estimate.unwrap_or_default();
        let reserve = price.map_or(Usd::ZERO, |p| p.reserve(prompt, answer));
        let mut spent = self.spent();
        if let Some(limit) = self.budget.max_cost {
            if price.is_none() {
                return Err(ComponentError::new(
                    "unpriced_model",
                    format!(
                        "the price book has no price for {}/{}, and the recipe has a budget in USD: add a price, or \
                         remove budget.max_cost_usd",
                        call.provider.as_deref().unwrap_or("?"),
                        call.model.as_deref().unwrap_or("?"),
                    ),
                )
                .field("config.model"));
            }
            let left = spent.cost_left(limit);
            if reserve > left {
                return Err(ComponentError::new(
                    "budget_exhausted",
                    format!(
                        "this call may cost {reserve} USD and {left} of the budget of {limit} USD is left: raise \
                         budget.max_cost_usd, or lower max_tokens",
                    ),
                )
                .field("budget.max_cost_usd"));
            }
        }
        if let Some(limit) = self.budget.max_tokens
            && spent.tokens_left(limit) < prompt
        {
            let Spent { totals, lent, .. } = *spent;
            let lent = if lent.tokens > 0 { format!(", {} lent to sub-recipes", lent.tokens) } else { String::new() };
            let whose = if self.budget.tokens_are_lent { " of the recipe that started this one" } else { "" };
            let message = format!(
                "{} of {limit} tokens are used{lent} and this prompt has about {prompt}: raise budget.max_tokens{whose}",
                totals.tokens
            );
            return Err(ComponentError::new("budget_exhausted", message).field("budget.max_tokens"));
        }
        spent.reserved += reserve;
        Ok(reserve)
    }

    /// Lends a sub-recipe's task what is left of the budget, at most its own. `None`:
    /// others have all of it, and some may come back.
    ///
    /// # Errors
    /// Nothing is left, and nothing will be.
    pub fn lend(&self, own: Loan) -> Result<Option<Loan>, ComponentError> {
        let mut spent = self.spent();
        let cost = self.budget.max_cost.map(|limit| spent.cost_left(limit));
        let tokens = self.budget.max_tokens.map(|limit| spent.tokens_left(limit));
        let exhausted = match (cost, tokens) {
            (Some(left), _) if left <= Usd::ZERO => "budget.max_cost_usd",
            (_, Some(0)) => "budget.max_tokens",
            _ => {
                let cost = lesser(own.cost, cost).map(Usd::to_ledger);
                let loan = Loan { cost, tokens: lesser(own.tokens, tokens) };
                spent.lent.tasks += 1;
                spent.lent.cost += loan.cost.unwrap_or_default();
                spent.lent.tokens += loan.tokens.unwrap_or_default();
                return Ok(Some(loan));
            }
        };
        if spent.lent.tasks > 0 {
            return Ok(None);
        }
        let message = format!("nothing of {exhausted} is left for the sub-recipe: raise it");
        Err(ComponentError::new("budget_exhausted", message).field(exhausted))
    }

    /// Takes back what was lent to a sub-recipe's task that is over, and counts what it spent.
    pub fn take_back(&self, loan: Loan, tokens: u64, cost: Usd) {
        let mut spent = self.spent();
        spent.lent.tasks = spent.lent.tasks.saturating_sub(1);
        spent.lent.cost = spent.lent.cost - loan.cost.unwrap_or_default();
        spent.lent.tokens = spent.lent.tokens.saturating_sub(loan.tokens.unwrap_or_default());
        spent.totals.tokens += tokens;
        spent.totals.cost += cost;
        drop(spent);
        self.returned.notify_waiters();
    }

    /// Ends when a loan comes back, counted from this call on.
    pub fn returned(&self) -> Notified<'_> {
        self.returned.notified()
    }

    /// Takes a call in that is over: its reservation is free again, what it cost is spent.
    pub fn spend(&self, reserved: Usd, tokens: u64, cost: Usd) {
        let mut spent = self.spent();
        spent.reserved = spent.reserved - reserved;
        spent.totals.calls += 1;
        spent.totals.tokens += tokens;
        spent.totals.cost += cost;
    }
}

impl Spent {
    fn cost_left(&self, limit: Usd) -> Usd {
        limit - self.totals.cost - self.reserved - self.lent.cost
    }

    fn tokens_left(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.totals.tokens).saturating_sub(self.lent.tokens)
    }
}

/// The lesser of two bounds, where there are any.
fn lesser<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
