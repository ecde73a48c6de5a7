//! What an event is, and reading them.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    base::{AgencyId, TaskId, TenantScope},
    db::{self, Parts},
};

/// Something that happened to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Within a task in the order of the commits.
    pub seq: i64,
    pub task_id: Uuid,
    /// Usually one of [`EventKind`](super::EventKind); a text, because a newer program may write others.
    pub kind: String,
    pub created_at: DateTime<Utc>,
    /// Claims of the task so far, or attempts of the step.
    pub attempt: Option<i32>,
    pub node_id: Option<String>,
    pub occurrence: Option<i32>,
    pub error_code: Option<String>,
}

/// The id by which the world knows an event: in streams, and in the `webhook-id` of deliveries.
#[must_use]
pub fn public_id(seq: i64) -> String {
    format!("evt_{seq}")
}

/// The place that a public id names.
#[must_use]
pub fn parse_id(text: &str) -> Option<i64> {
    let digits = text.strip_prefix("evt_")?;
    let plain = !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Some of a task's events, oldest first.
#[derive(Debug)]
pub struct Events {
    pub items: Vec<Event>,
    /// The task was over before these were read, and none came after them.
    pub at_the_end: bool,
}

/// A task that can be followed.
#[derive(Debug, Clone, Copy)]
pub struct Followable {
    pub created_at: DateTime<Utc>,
}

fn team_bound(scope: &TenantScope) -> Option<Uuid> {
    if scope.is_admin() { None } else { Some(scope.team_id().map_or(Uuid::nil(), |team| team.0)) }
}

/// `None` if there is no such task for the caller.
///
/// # Errors
/// The database is unavailable.
pub async fn task(scope: &TenantScope, pool: &PgPool, task: TaskId) -> Result<Option<Followable>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let found = sqlx::query_as!(
        Followable,
        "select created_at from task_queue where id = $1 and ($2::uuid is null or team_id = $2)",
        task.0,
        team_bound(scope),
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(found)
}

/// At most `limit` of the task's events after a place; `None` if there is no such task
/// for the caller.
///
/// # Errors
/// The database is unavailable.
pub async fn after(
    scope: &TenantScope,
    pool: &PgPool,
    task: TaskId,
    seq: i64,
    limit: u16,
) -> Result<Option<Events>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    // First whether it is over: what is read after that is complete.
    let found = sqlx::query!(
        r#"select created_at, finished_at is not null as "over!" from task_queue
            where id = $1 and ($2::uuid is null or team_id = $2)"#,
        task.0,
        team_bound(scope),
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let items = sqlx::query_as!(
        Event,
        "select seq, task_id, type as kind, created_at, attempt, node_id, occurrence, error_code
           from task_events where task_id = $1 and seq > $2 and created_at >= $3 order by seq limit $4",
        task.0,
        seq,
        found.created_at,
        i64::from(limit),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let at_the_end = found.over && items.len() < usize::from(limit);
    Ok(Some(Events { items, at_the_end }))
}

/// A task that is followed, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Followed {
    pub agency: AgencyId,
    pub task: TaskId,
    pub created_at: DateTime<Utc>,
}

/// The newest event of each of these tasks, each looked for in its agency's context; a task
/// without one is left out.
///
/// # Errors
/// The database is unavailable.
pub async fn newest(pool: &PgPool, mut followed: Vec<Followed>) -> Result<Vec<(TaskId, i64)>, sqlx::Error> {
    followed.sort_by_key(|one| one.agency.0);
    let parts = Parts::of(followed.iter().map(|one| one.agency.0));
    let (tasks, created_at): (Vec<Uuid>, Vec<_>) = followed.iter().map(|one| (one.task.0, one.created_at)).unzip();
    let rows = sqlx::query!(
        r#"select r.task_id as "task_id!: TaskId", r.seq as "seq!"
             from unnest($3::uuid[], $4::int[], $5::int[]) a (agency, first, last)
            cross join lateral (select set_config('app.agency_id', a.agency::text, true)) c (entered)
            cross join lateral app.newest_events(
                case when c.entered is not null then ($1::uuid[])[a.first:a.last] end,
                ($2::timestamptz[])[a.first:a.last]) r"#,
        &tasks,
        &created_at,
        &parts.agencies,
        &parts.first,
        &parts.last,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.task_id, row.seq)).collect())
}

/// Makes partitions for the days to come, and drops those that were kept long enough.
///
/// # Errors
/// The database is unavailable.
pub async fn keep(pool: &PgPool, keep_days: i32) -> Result<(), sqlx::Error> {
    sqlx::query!("select app.keep_events($1)", keep_days).execute(pool).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_as_it_went_and_nothing_else_is_one() {
        assert_eq!(parse_id(&public_id(42)), Some(42));
        for text in ["", "evt_", "42", "evt_-1", "evt_+1", "evt_1 ", "evt_9999999999999999999", "EVT_1"] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }
}
