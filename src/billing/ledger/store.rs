//! Reading the ledger, and checking its chain.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::Line;
use crate::{
    base::{Page, Paged, TenantScope},
    db,
};

/// What a list of lines can be narrowed to; `None` is no bound.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub task_id: Option<Uuid>,
    pub agent_instance_id: Option<Uuid>,
    pub team_id: Option<Uuid>,
    pub kind: Option<String>,
    pub status: Option<String>,
    /// At or after.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub to: Option<DateTime<Utc>>,
}

/// Newest first.
///
/// # Errors
/// The database is away.
pub async fn list(scope: &TenantScope, pool: &PgPool, filter: &Filter, page: Page) -> Result<Paged<Line>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let lines = sqlx::query_as!(
        Line,
        r#"select id, task_id, node_id, occurrence, call_no, team_id, agent_instance_id, recipe_id, kind, provider,
                  model, status, tokens_used, usage, cost_usd, billed_usd, price_id, estimated, flags,
                  execution_time_ms, request_id, "timestamp", seq, hash
             from audit_logs
            where agency_id = $1 and ($2::uuid is null or seq < (select l.seq from audit_logs l where l.id = $2))
              and ($3::uuid is null or task_id = $3)
              and ($4::uuid is null or agent_instance_id = $4)
              and ($5::uuid is null or team_id = $5)
              and ($6::text is null or kind = $6)
              and ($7::text is null or status = $7)
              and ($8::timestamptz is null or "timestamp" >= $8)
              and ($9::timestamptz is null or "timestamp" < $9)
            order by seq desc limit $10"#,
        scope.agency_id().0,
        page.before,
        filter.task_id,
        filter.agent_instance_id,
        filter.team_id,
        filter.kind,
        filter.status,
        filter.from,
        filter.to,
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(page.cut(lines, |line| line.id))
}
