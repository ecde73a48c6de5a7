//! Reading the ledger, and checking its chain.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Line,
    chain::{Chain, Fault, FaultKind, MAX_FAULTS},
};
use crate::{
    base::{AgencyId, Page, Paged, TenantScope},
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
/// The database is unavailable.
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

/// Checks the ledgers of all agencies, or of one, line by line. The connection acts for
/// every agency. None for an agency that has no line yet.
///
/// # Errors
/// The connection may not, or the database is unavailable.
pub async fn verify(connection: &mut PgConnection, agency: Option<AgencyId>) -> Result<Vec<Chain>, sqlx::Error> {
    let heads = sqlx::query!(
        r#"select h.agency_id as "agency: AgencyId", h.seq, h.hash,
                  (select count(*) from audit_logs l where l.agency_id = h.agency_id) as "lines!",
                  (select l.hash from audit_logs l where l.agency_id = h.agency_id order by l.seq desc limit 1) as last
             from ledger_heads h
            where h.seq > 0 and ($1::uuid is null or h.agency_id = $1) order by h.agency_id"#,
        agency.map(|agency| agency.0),
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut chains = Vec::with_capacity(heads.len());
    for head in heads {
        let mut faults = faults(&mut *connection, head.agency).await?;
        if head.last != Some(head.hash) && faults.is_empty() {
            faults.push(Fault { seq: head.seq, id: None, kind: FaultKind::EndMissing });
        }
        chains.push(Chain { agency_id: head.agency, lines: head.lines, faults });
    }
    Ok(chains)
}

async fn faults(connection: &mut PgConnection, agency: AgencyId) -> Result<Vec<Fault>, sqlx::Error> {
    sqlx::query_as!(
        Fault,
        r#"select l.seq as "seq!", l.id, l.kind as "kind!: FaultKind"
             from (select c.seq, c.id,
                          case when c.seq <> c.seq_before + 1 then 'missing_before'
                               when c.prev_hash <> c.hash_before then 'unlinked'
                               when c.hash <> c.own_hash then 'changed' end as kind
                     from (select a.seq, a.id, a.hash, a.prev_hash, app.audit_hash(a) as own_hash,
                                  lag(a.seq, 1, 0::bigint) over in_order as seq_before,
                                  lag(a.hash, 1, ''::bytea) over in_order as hash_before
                             from audit_logs a where a.agency_id = $1 window in_order as (order by a.seq)) c) l
            where l.kind is not null order by l.seq limit $2"#,
        agency.0,
        MAX_FAULTS,
    )
    .fetch_all(connection)
    .await
}
