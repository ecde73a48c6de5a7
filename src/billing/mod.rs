//! Prices, the ledger, budgets.

pub mod ledger;
