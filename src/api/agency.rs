//! `/agency`

use chrono::{DateTime, Utc};
use poem_openapi::{Enum, Object, OpenApi, payload::Json, types::MaybeUndefined};
use uuid::Uuid;

use super::{
    Admin, Member, Problem, Result,
    http::{body::Body, check::Check, tags::Tag},
    need,
};
use crate::tenancy::{
    Email, Name, TasksAtOnce,
    agencies::{self, AgencyChange},
};

/// What runs use when neither the node nor the agent says otherwise.
#[derive(Debug, Object)]
struct Settings {
    default_provider: Option<String>,
    default_model: Option<String>,
    /// Tasks of the agency that may run at once; others wait. Null: no limit but the operator's.
    max_concurrent_tasks: Option<i32>,
    /// Days for which finished tasks are kept; null means the installation's own.
    retention_days: Option<u32>,
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct SettingsBody {
    /// One of this installation's model providers. Null clears it.
    #[oai(validator(max_length = 200))]
    default_provider: MaybeUndefined<String>,
    /// Null clears it.
    #[oai(validator(max_length = 200))]
    default_model: MaybeUndefined<String>,
    /// 1 to 100,000: tasks that may run at once, others wait. The operator's limit stays above it. Null clears it.
    #[oai(validator(minimum(value = "1"), maximum(value = "100000")))]
    max_concurrent_tasks: MaybeUndefined<i32>,
    /// 1 to 3650: finished tasks that are older are deleted, with their steps and outputs.
    /// The ledger stays. Null means the installation's own.
    #[oai(validator(minimum(value = "1"), maximum(value = "3650")))]
    retention_days: MaybeUndefined<u32>,
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct AgencyBody {
    #[oai(validator(max_length = 200))]
    name: Option<String>,
    /// Null clears it.
    #[oai(validator(max_length = 254))]
    billing_email: MaybeUndefined<String>,
    settings: Option<SettingsBody>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum AgencyStatus {
    Active,
    Suspended,
}

/// A tenant.
#[derive(Debug, Object)]
pub struct Agency {
    id: Uuid,
    name: String,
    billing_email: Option<String>,
    settings: Settings,
    status: AgencyStatus,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<agencies::Agency> for Agency {
    fn from(agency: agencies::Agency) -> Self {
        let agencies::Settings { default_provider, default_model, max_concurrent_tasks, retention_days } =
            agency.settings;
        Self {
            id: agency.id.0,
            name: agency.name,
            billing_email: agency.billing_email,
            settings: Settings { default_provider, default_model, max_concurrent_tasks, retention_days },
            status: match agency.status {
                agencies::AgencyStatus::Active => AgencyStatus::Active,
                agencies::AgencyStatus::Suspended => AgencyStatus::Suspended,
            },
            created_at: agency.created_at,
            updated_at: agency.updated_at,
        }
    }
}

#[derive(Clone)]
pub struct AgencyApi;

#[OpenApi(prefix_path = "/agency", tag = "Tag::Agency")]
impl AgencyApi {
    /// Get your agency.
    #[oai(path = "/", method = "get", operation_id = "get_agency")]
    async fn get_agency(&self, member: Member<need::AgencyRead>) -> Result<Json<Agency>> {
        let agency = agencies::get(member.scope(), &member.state.pool).await?;
        agency.map(|agency| Json(agency.into())).ok_or_else(Problem::not_found)
    }

    /// Change your agency. What is left out stays as it is.
    #[oai(path = "/", method = "patch", operation_id = "change_agency")]
    async fn change_agency(&self, admin: Admin<need::AgencyWrite>, body: Body<AgencyBody>) -> Result<Json<Agency>> {
        let change = change(&body.0, &admin.state.providers)?;
        let agency = agencies::update(admin.scope(), &admin.state.pool, &change).await?;
        agency.map(|agency| Json(agency.into())).ok_or_else(Problem::not_found)
    }
}

fn change(body: &AgencyBody, providers: &[String]) -> Result<AgencyChange> {
    let name = |text: &str| Name::parse(text).map(|name| name.as_str().to_owned());
    let provider = |text: &str| {
        let known = providers.iter().find(|name| *name == text);
        known.cloned().ok_or_else(|| format!("must be one of {}", providers.join(", ")))
    };
    let mut check = Check::default();
    let settings = body.settings.as_ref();
    let change = AgencyChange {
        name: check.optional("name", body.name.as_ref(), Name::parse),
        billing_email: check.change("billing_email", &body.billing_email, Email::parse),
        default_provider: settings
            .and_then(|s| check.change("settings.default_provider", &s.default_provider, provider)),
        default_model: settings.and_then(|s| check.change("settings.default_model", &s.default_model, name)),
        max_concurrent_tasks: settings
            .and_then(|s| check.number("settings.max_concurrent_tasks", &s.max_concurrent_tasks, TasksAtOnce::parse)),
        retention_days: settings.and_then(|s| match s.retention_days {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(days) => Some(Some(days)),
        }),
    };
    check.finish()?;
    Ok(change)
}
