//! Seats: an agency buys them for a role, and each hired agent takes one.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use super::{TenancyError, TenantScope};
use crate::{
    base::{AgentRoleId, Page, Paged, SubscriptionId, Usd},
    db,
};

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

/// The agency's subscriptions, newest first.
pub async fn list(scope: &TenantScope, pool: &PgPool, page: Page) -> Result<Paged<Subscription>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let rows = sqlx::query_as!(
        Subscription,
        r#"select s.id as "id: SubscriptionId", s.agent_role_id as "agent_role_id: AgentRoleId",
                  r.name as agent_role, s.purchased_count, s.allocated_count, s.active_this_month,
                  s.unit_price as "unit_price: Usd", s.monthly_cost as "monthly_cost!: Usd", s.cycle_start,
                  s.cycle_end, s.status, s.created_at, s.updated_at
             from subscriptions s join agent_roles r on r.id = s.agent_role_id
            where $1::uuid is null or s.id < $1 order by s.id desc limit $2"#,
        page.before,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(rows, |subscription| subscription.id.0))
}

/// Seats of all the agency's active subscriptions together.
pub async fn usage(scope: &TenantScope, pool: &PgPool) -> Result<Usage, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let usage = sqlx::query_as!(
        Usage,
        r#"select coalesce(sum(purchased_count), 0) as "purchased!", coalesce(sum(allocated_count), 0) as "allocated!",
                  coalesce(sum(active_this_month), 0) as "active_this_month!",
                  coalesce(sum(monthly_cost), 0) as "monthly_cost!: Usd"
             from subscriptions where status = 'active'"#,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(usage)
}

/// Sets the number of seats for a role; says whether the subscription is new.
pub async fn buy(
    scope: &TenantScope,
    pool: &PgPool,
    role_id: AgentRoleId,
    purchased_count: i32,
    now: DateTime<Utc>,
) -> Result<(Subscription, bool), TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let role = role(&mut tx, role_id).await?.ok_or(TenancyError::RoleUnknown)?;
    let present = sqlx::query_scalar!(
        "select purchased_count from subscriptions where agent_role_id = $1 and status = 'active' for update",
        role_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    // Of a role that is no longer on offer, seats can only be given back.
    let role = if present.is_some_and(|present| purchased_count <= present) { role } else { role.available()? };
    let bought = upsert(&mut tx, scope, role_id, &role, purchased_count, now).await;
    let bought = match bought {
        Err(error) if db::violated_constraint(&error) == Some("subscriptions_seats_exhausted") => {
            drop(tx);
            return Err(TenancyError::SeatsInUse { allocated: allocated(scope, pool, role_id).await? });
        }
        other => other?,
    };
    tx.commit().await?;
    Ok((bought, present.is_none()))
}

async fn upsert(
    connection: &mut PgConnection,
    scope: &TenantScope,
    role_id: AgentRoleId,
    role: &RoleOnOffer,
    purchased_count: i32,
    now: DateTime<Utc>,
) -> Result<Subscription, sqlx::Error> {
    let (cycle_start, cycle_end) = month_of(now);
    sqlx::query_as!(
        Subscription,
        r#"insert into subscriptions as s
             (id, agency_id, agent_role_id, purchased_count, unit_price, cycle_start, cycle_end)
           values ($1, $2, $3, $4, $5, $6, $7)
           on conflict on constraint subscriptions_role_taken
             do update set purchased_count = excluded.purchased_count, status = 'active'
           returning s.id as "id: SubscriptionId", s.agent_role_id as "agent_role_id: AgentRoleId",
                     $8::text as "agent_role!", s.purchased_count, s.allocated_count, s.active_this_month,
                     s.unit_price as "unit_price: Usd", s.monthly_cost as "monthly_cost!: Usd", s.cycle_start,
                     s.cycle_end, s.status, s.created_at, s.updated_at"#,
        SubscriptionId::at(now).0,
        scope.agency_id().0,
        role_id.0,
        purchased_count,
        role.base_price.0,
        cycle_start,
        cycle_end,
        role.name,
    )
    .fetch_one(connection)
    .await
}

async fn allocated(scope: &TenantScope, pool: &PgPool, role_id: AgentRoleId) -> Result<i32, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let allocated =
        sqlx::query_scalar!("select allocated_count from subscriptions where agent_role_id = $1", role_id.0)
            .fetch_optional(&mut *tx)
            .await?;
    tx.commit().await?;
    Ok(allocated.unwrap_or(0))
}

/// A role that the agency of the transaction sees: the platform's or its own.
pub(super) async fn role(connection: &mut PgConnection, id: AgentRoleId) -> Result<Option<RoleOnOffer>, sqlx::Error> {
    sqlx::query_as!(
        RoleOnOffer,
        r#"select name, status, base_price as "base_price: Usd" from agent_roles where id = $1"#,
        id.0,
    )
    .fetch_optional(connection)
    .await
}

/// Takes a seat for the role in a tenant's transaction, if one is free.
pub(super) async fn take(connection: &mut PgConnection, role_id: AgentRoleId) -> Result<bool, TenancyError> {
    // Concurrent takers queue on the row and each sees the count that the one before left.
    let taken = sqlx::query!(
        "update subscriptions set allocated_count = allocated_count + 1
          where agent_role_id = $1 and status = 'active' and allocated_count < purchased_count",
        role_id.0,
    )
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Gives a seat back in a tenant's transaction.
pub(super) async fn release(connection: &mut PgConnection, role_id: AgentRoleId) -> Result<(), TenancyError> {
    sqlx::query!("update subscriptions set allocated_count = allocated_count - 1 where agent_role_id = $1", role_id.0)
        .execute(connection)
        .await?;
    Ok(())
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
