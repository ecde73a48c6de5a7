//! Which tasks get a ticket next, and which lost theirs.
//!
//! Postgres holds the backlog; Redis holds a shallow window of what should run next.
//! `task_queue.dispatched_at` says where a task is: null in the backlog, a time in the
//! window or in a worker's hands, infinity where it waits for something else.

use sqlx::PgPool;
use uuid::Uuid;

use crate::queue::Ticket;

/// What one look at the backlog came to.
#[derive(Debug)]
pub struct Dispatched {
    /// In the order in which they should run.
    pub tickets: Vec<Ticket>,
    /// Others could have gone if there had been room.
    pub more: bool,
    /// Some wait because a limit is reached: they go when a task ends.
    pub held: bool,
}

/// Takes tasks out of the backlog until `window` of them wait for a worker, by turns
/// among the agencies. `agency_limit` is the operator's on tasks of one agency at once.
/// `None` while another process does the same.
///
/// # Errors
/// The database is unavailable.
pub async fn dispatch(
    pool: &PgPool,
    window: i32,
    agency_limit: Option<i32>,
) -> Result<Option<Dispatched>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select ids as "ids!", dispatch_ids as "dispatch_ids!", more as "more!", held as "held!"
             from app.dispatch_tasks($1, $2)"#,
        window,
        agency_limit,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Dispatched {
        tickets: row
            .ids
            .into_iter()
            .zip(row.dispatch_ids)
            .map(|(task, dispatch_id)| Ticket { task_id: task.into(), dispatch_id })
            .collect(),
        more: row.more,
        held: row.held,
    }))
}

/// Puts tasks back into the backlog whose ticket is older than `grace_ms` and not among
/// `waiting`, the dispatch ids that Redis has; also tasks whose lease ran out. Gives how many.
///
/// # Errors
/// The database is unavailable.
pub async fn reclaim(pool: &PgPool, waiting: &[Uuid], grace_ms: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select app.reclaim_tickets($1, $2) as "reclaimed!""#, waiting, grace_ms)
        .fetch_one(pool)
        .await
}
