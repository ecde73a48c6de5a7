//! The agency itself: name, billing address, and the defaults of its runs.
//!
//! Functions without a scope are for sign-in, which has none yet; their transaction is in the
//! agency's context.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

use super::{Email, Name, TasksAtOnce, TenancyError, TenantScope};
use crate::{base::AgencyId, db};

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum AgencyStatus {
    Active,
    Suspended,
}

/// What runs use when neither the node nor the agent says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_provider: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_tasks: Option<i32>,
    /// How long finished tasks are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct Agency {
    pub id: AgencyId,
    pub name: String,
    pub billing_email: Option<String>,
    pub settings: Settings,
    pub status: AgencyStatus,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug)]
pub struct NewAgency<'a> {
    pub id: AgencyId,
    pub name: &'a Name,
    pub billing_email: Option<&'a Email>,
}

/// What to change; `None` leaves as is, `Some(None)` clears.
#[derive(Debug, Default)]
pub struct AgencyChange {
    pub name: Option<Name>,
    pub billing_email: Option<Option<Email>>,
    pub default_provider: Option<Option<String>>,
    pub default_model: Option<Option<String>>,
    pub max_concurrent_tasks: Option<Option<TasksAtOnce>>,
    pub retention_days: Option<Option<u32>>,
}

struct Row {
    id: AgencyId,
    name: String,
    billing_email: Option<String>,
    settings: Json<Settings>,
    status: AgencyStatus,
    created_at: chrono::DateTime<chrono::Utc>,
    updated_at: chrono::DateTime<chrono::Utc>,
}

impl From<Row> for Agency {
    fn from(row: Row) -> Self {
        let Row { id, name, billing_email, settings: Json(settings), status, created_at, updated_at } = row;
        Self { id, name, billing_email, settings, status, created_at, updated_at }
    }
}

/// The person's own agency.
pub async fn get(scope: &TenantScope, pool: &PgPool) -> Result<Option<Agency>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let agency = find(&mut tx, scope.agency_id()).await?;
    tx.commit().await?;
    Ok(agency)
}

pub async fn find(connection: &mut PgConnection, id: AgencyId) -> Result<Option<Agency>, TenancyError> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: AgencyId", name, billing_email, settings as "settings: Json<Settings>",
                  status as "status: AgencyStatus", created_at, updated_at
             from agencies where id = $1"#,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Agency::from))
}

pub async fn insert(connection: &mut PgConnection, new: &NewAgency<'_>) -> Result<(), TenancyError> {
    sqlx::query!(
        "insert into agencies (id, name, billing_email) values ($1, $2, $3)",
        new.id.0,
        new.name.as_str(),
        new.billing_email.map(Email::as_str),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn update(scope: &TenantScope, pool: &PgPool, change: &AgencyChange) -> Result<Option<Agency>, TenancyError> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let row = sqlx::query_as!(
        Row,
        r#"update agencies set
             name = coalesce($2, name),
             billing_email = case when $3 then $4 else billing_email end,
             settings = jsonb_strip_nulls(settings
               || case when $5 then jsonb_build_object('default_provider', $6::text) else '{}' end
               || case when $7 then jsonb_build_object('default_model', $8::text) else '{}' end
               || case when $9 then jsonb_build_object('max_concurrent_tasks', $10::integer) else '{}' end
               || case when $11 then jsonb_build_object('retention_days', $12::integer) else '{}' end)
           where id = $1
           returning id as "id: AgencyId", name, billing_email, settings as "settings: Json<Settings>",
                     status as "status: AgencyStatus", created_at, updated_at"#,
        scope.agency_id().0,
        change.name.as_ref().map(Name::as_str),
        change.billing_email.is_some(),
        change.billing_email.as_ref().and_then(|email| email.as_ref().map(Email::as_str)),
        change.default_provider.is_some(),
        change.default_provider.clone().flatten(),
        change.default_model.is_some(),
        change.default_model.clone().flatten(),
        change.max_concurrent_tasks.is_some(),
        change.max_concurrent_tasks.flatten().map(TasksAtOnce::get),
        change.retention_days.is_some(),
        change.retention_days.flatten().map(u32::cast_signed),
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(row.map(Agency::from))
}
