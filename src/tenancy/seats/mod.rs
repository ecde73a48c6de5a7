//! Seats: an agency buys them for a role, and each hired agent takes one.

mod store;

use chrono::{DateTime, Datelike, NaiveDate, Utc};

pub use store::{buy, list, usage};
pub(super) use store::{release, role, take};

use super::TenancyError;
use crate::base::{AgentRoleId, SubscriptionId, Usd};

#[derive(Debug, Clone)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub agent_role_id: AgentRoleId,
    /// The role's name.
    pub agent_role: String,
    pub purchased_count: i32,
    pub allocated_count: i32,
    /// Agents that ran at least one task in the current cycle.
    pub active_this_month: i32,
    /// For one seat and month, as of the purchase.
    pub unit_price: Usd,
    pub monthly_cost: Usd,
    pub cycle_start: NaiveDate,
    /// The first day of the next cycle.
    pub cycle_end: NaiveDate,
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Seats of all roles together.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    pub purchased: i64,
    pub allocated: i64,
    pub active_this_month: i64,
    pub monthly_cost: Usd,
}

/// A role as it is needed for buying and hiring.
#[derive(Debug)]
pub(super) struct RoleOnOffer {
    pub name: String,
    pub status: String,
    pub base_price: Usd,
}

impl RoleOnOffer {
    pub(super) fn available(self) -> Result<Self, TenancyError> {
        if self.status == "available" {
            return Ok(self);
        }
        Err(TenancyError::RoleUnavailable { role: self.name, status: self.status })
    }
}

/// The calendar month around `now`: its first day, and the next month's.
#[must_use]
pub fn month_of(now: DateTime<Utc>) -> (NaiveDate, NaiveDate) {
    let today = now.date_naive();
    let start = today.with_day(1).unwrap_or(today);
    (start, start + chrono::Months::new(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_the_calendar_month() {
        let cycle_at = |text: &str| {
            let (start, end) = month_of(text.parse().unwrap());
            (start.to_string(), end.to_string())
        };
        assert_eq!(cycle_at("2026-12-31T23:59:59Z"), ("2026-12-01".into(), "2027-01-01".into()));
        assert_eq!(cycle_at("2028-02-29T00:00:00Z"), ("2028-02-01".into(), "2028-03-01".into()));
    }
}
