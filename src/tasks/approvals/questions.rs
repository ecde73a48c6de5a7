//! The questions that tasks ask, read in the tenant's context.

use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::{Asker, approval::Approval};
use crate::{
    base::{Page, Paged, TenantScope},
    db,
    tasks::read::team_bound,
};

/// What a list can be narrowed to; `None` is no bound.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub status: Option<&'static str>,
    pub task_id: Option<Uuid>,
}

/// Newest first, with who asks. One whose time is over is shown as expired at once.
///
/// # Errors
/// The database is unavailable.
pub async fn list(
    scope: &TenantScope,
    pool: &PgPool,
    filter: &Filter,
    page: Page,
) -> Result<(Paged<Approval>, Asker), sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let asker = asker(scope, &mut tx).await?;
    let found = sqlx::query_as!(
        Approval,
        r#"select id, team_id, task_id, node_id, occurrence, kind, message, form, approvers, status as "status!",
                  payload, decided_by, decided_by_key, decided_at, created_at, expires_at
             from (select a.id, a.agency_id, a.team_id, a.task_id, a.node_id, a.occurrence, a.kind, a.message, a.form,
                          a.approvers, a.payload, a.decided_by, a.decided_by_key, a.decided_at, a.created_at,
                          a.expires_at,
                          case when a.status = 'open' and a.expires_at <= clock_timestamp() then 'expired'
                               else a.status end as status
                     from approvals a) a
            where ($1::uuid is null or id < $1)
              and ($2::text is null or status = $2)
              and ($3::uuid is null or task_id = $3)
              and ($4::uuid is null or team_id = $4)
            order by agency_id desc, id desc limit $5"#,
        page.before,
        filter.status,
        filter.task_id,
        team_bound(scope),
        page.fetch(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok((page.cut(found, |approval| approval.id), asker))
}

/// # Errors
/// The database is unavailable.
pub async fn get(scope: &TenantScope, pool: &PgPool, id: Uuid) -> Result<Option<(Approval, Asker)>, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let asker = asker(scope, &mut tx).await?;
    let found = sqlx::query_as!(
        Approval,
        r#"select id, team_id, task_id, node_id, occurrence, kind, message, form, approvers, payload, decided_by,
                  decided_by_key, decided_at, created_at, expires_at,
                  case when status = 'open' and expires_at <= clock_timestamp() then 'expired' else status end as "status!"
             from approvals where id = $1 and ($2::uuid is null or team_id = $2)"#,
        id,
        team_bound(scope),
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(found.map(|found| (found, asker)))
}

async fn asker(scope: &TenantScope, tx: &mut Transaction<'static, Postgres>) -> Result<Asker, sqlx::Error> {
    let Some(user) = scope.user_id() else { return Ok(Asker { scope: *scope, email: None }) };
    let email = sqlx::query_scalar!("select lower(email) as \"email!\" from users where id = $1", user.0)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(Asker { scope: *scope, email })
}
