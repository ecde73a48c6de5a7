//! `/subscriptions`: seats for agents.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json};
use uuid::Uuid;

use super::{
    Admin, Problem, Result,
    http::{
        body::Body,
        page::{Listing, page},
        tags::Tag,
    },
    need,
};
use crate::{base::AgentRoleId, tenancy::seats};

const MAX_SEATS: i32 = 100_000;

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct SubscriptionBody {
    /// Of GET /agent-roles.
    agent_role_id: Uuid,
    /// Seats in all, not in addition: 0 to 100000.
    #[oai(validator(minimum(value = "0"), maximum(value = "100000")))]
    purchased_count: i32,
}

/// Seats for one role.
#[derive(Debug, Object)]
struct Subscription {
    id: Uuid,
    agent_role_id: Uuid,
    /// The role's name.
    agent_role: String,
    purchased_count: i32,
    /// Seats that hired agents take.
    allocated_count: i32,
    /// Agents that ran at least one task in the current cycle.
    active_this_month: i32,
    /// USD for one seat and month.
    unit_price: String,
    /// USD.
    monthly_cost: String,
    cycle_start: NaiveDate,
    /// The first day of the next cycle.
    cycle_end: NaiveDate,
    status: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<seats::Subscription> for Subscription {
    fn from(s: seats::Subscription) -> Self {
        Self {
            id: s.id.0,
            agent_role_id: s.agent_role_id.0,
            agent_role: s.agent_role,
            purchased_count: s.purchased_count,
            allocated_count: s.allocated_count,
            active_this_month: s.active_this_month,
            unit_price: s.unit_price.to_string(),
            monthly_cost: s.monthly_cost.to_string(),
            cycle_start: s.cycle_start,
            cycle_end: s.cycle_end,
            status: s.status,
            created_at: s.created_at,
            updated_at: s.updated_at,
        }
    }
}

/// Seats of all roles together.
#[derive(Debug, Object)]
struct SeatUsage {
    purchased: i64,
    allocated: i64,
    /// Agents that ran at least one task in the current cycle.
    active_this_month: i64,
    /// USD.
    monthly_cost: String,
    /// By role, newest first; at most 200.
    subscriptions: Vec<Subscription>,
}

#[derive(ApiResponse)]
enum Bought {
    /// A new subscription.
    #[oai(status = 201)]
    New(Json<Subscription>),
    /// The number of seats was changed.
    #[oai(status = 200)]
    Changed(Json<Subscription>),
}

#[derive(Clone)]
pub struct SubscriptionsApi;

#[OpenApi(prefix_path = "/subscriptions", tag = "Tag::Agents")]
impl SubscriptionsApi {
    /// List the agency's subscriptions.
    #[oai(path = "/", method = "get", operation_id = "list_subscriptions")]
    async fn list_subscriptions(
        &self,
        admin: Admin<need::SubscriptionsRead>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Subscription>>> {
        Ok(Json(Listing::of(seats::list(admin.scope(), &admin.state.pool, page(limit, cursor)?).await?)))
    }

    /// Set the number of seats for a role: makes the subscription, or raises or lowers it.
    #[oai(path = "/", method = "post", operation_id = "buy_seats")]
    async fn buy_seats(&self, admin: Admin<need::SubscriptionsWrite>, body: Body<SubscriptionBody>) -> Result<Bought> {
        let count = body.0.purchased_count;
        if !(0..=MAX_SEATS).contains(&count) {
            return Err(Problem::invalid("purchased_count", format!("must be between 0 and {MAX_SEATS}")));
        }
        let role = AgentRoleId(body.0.agent_role_id);
        let (subscription, new) =
            seats::buy(admin.scope(), &admin.state.pool, role, count, admin.state.clock.now()).await?;
        let subscription = Json(subscription.into());
        Ok(if new { Bought::New(subscription) } else { Bought::Changed(subscription) })
    }

    /// Seats purchased, allocated and active this month.
    #[oai(path = "/usage", method = "get", operation_id = "seat_usage")]
    async fn seat_usage(&self, admin: Admin<need::SubscriptionsRead>) -> Result<Json<SeatUsage>> {
        let usage = seats::usage(admin.scope(), &admin.state.pool).await?;
        let all = page(Query(Some(200)), Query(None))?;
        let subscriptions = seats::list(admin.scope(), &admin.state.pool, all).await?;
        Ok(Json(SeatUsage {
            purchased: usage.purchased,
            allocated: usage.allocated,
            active_this_month: usage.active_this_month,
            monthly_cost: usage.monthly_cost.to_string(),
            subscriptions: subscriptions.items.into_iter().map(Subscription::from).collect(),
        }))
    }
}
