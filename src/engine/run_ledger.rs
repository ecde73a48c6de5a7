//! The money of one run: what is spent, what is reserved, and the recipe's bounds.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
}

/// The recipe's own bounds of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Budget {
    pub max_cost: Option<Usd>,
    pub max_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Spent {
    totals: Totals,
    reserved: Usd,
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
        lent: Usd,
    ) -> Self {
        let spent = Mutex::new(Spent { totals: before, reserved: lent });
        Self { claim, agency, budget, prices, recorder, clock, spent }
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
            let left = limit - spent.totals.cost - spent.reserved;
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
            && spent.totals.tokens + prompt > limit
        {
            return Err(ComponentError::new(
                "budget_exhausted",
                format!(
                    "{} of {limit} tokens are used and this prompt has about {prompt}: raise budget.max_tokens",
                    spent.totals.tokens
                ),
            )
            .field("budget.max_tokens"));
        }
        spent.reserved += reserve;
        Ok(reserve)
    }

    /// Lends a sub-recipe's task what is left of the budget, at most its own.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn lend(&self, own: Option<Usd>) -> Result<Option<Usd>, ComponentError> {
        let Some(limit) = self.budget.max_cost else { return Ok(own) };
        let mut spent = self.spent();
        let left = limit - spent.totals.cost - spent.reserved;
        if left <= Usd::ZERO {
            let message =
                format!("nothing of the budget of {limit} USD is left for the sub-recipe: raise budget.max_cost_usd");
            return Err(ComponentError::new("budget_exhausted", message).field("budget.max_cost_usd"));
        }
        let granted = own.map_or(left, |own| own.min(left));
        spent.reserved += granted;
        Ok(Some(granted))
    }

    /// Takes back what was lent to a sub-recipe's task that is over, and counts what it spent.
    pub fn take_back(&self, lent: Option<Usd>, tokens: u64, cost: Usd) {
        let mut spent = self.spent();
        if self.budget.max_cost.is_some() {
            spent.reserved = spent.reserved - lent.unwrap_or_default();
        }
        spent.totals.tokens += tokens;
        spent.totals.cost += cost;
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
