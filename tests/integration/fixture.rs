//! Rows that store tests start from, and pools under the real roles.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};
use teamai::{
    base::{Clock, SystemClock, ids::uuid_at},
    tasks::submit::submission::Submission,
};
use uuid::Uuid;

/// A pool whose connections act as `teamai_api` or `teamai_worker`, so that
/// row-level security and grants are those of production.
pub async fn as_role(owner: &PgPool, role: &str) -> PgPool {
    let options = (*owner.connect_options()).clone().options([("role", role)]);
    PgPoolOptions::new().max_connections(10).connect_with(options).await.expect("a pool under an app role")
}

/// The machine's time: leases and due times are compared with the database's.
pub fn now() -> DateTime<Utc> {
    SystemClock.now()
}

pub fn id() -> Uuid {
    uuid_at(now())
}

/// An agency with a team, an agent and a recipe of its own.
#[derive(Debug, Clone, Copy)]
pub struct Tenant {
    pub agency: Uuid,
    pub team: Uuid,
    pub agent: Uuid,
    pub recipe: Uuid,
}

pub async fn tenant(owner: &PgPool) -> Tenant {
    let (agency, team, agent, recipe, role) = (id(), id(), id(), id(), id());
    let mut tx = owner.begin().await.unwrap();
    for statement in [
        format!("insert into agencies (id, name) values ('{agency}', 'Agency {agency}')"),
        format!("insert into teams (id, agency_id, name) values ('{team}', '{agency}', 'Team')"),
        format!("insert into agent_roles (id, agency_id, name) values ('{role}', '{agency}', 'Role')"),
        format!(
            "insert into agent_instances (id, agency_id, team_id, agent_role_id, custom_name)
             values ('{agent}', '{agency}', '{team}', '{role}', 'Agent')"
        ),
        format!(
            "insert into recipes (id, agency_id, slug, name, version, version_key, document, content_hash)
             values ('{recipe}', '{agency}', 'audit', 'Audit', '1.0.0', '1', '{{}}', sha256('x'))"
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    Tenant { agency, team, agent, recipe }
}

/// A task for the tenant's agent and recipe, by itself.
pub fn submission(tenant: Tenant) -> Submission {
    let task = id();
    Submission {
        id: task,
        agency_id: tenant.agency,
        member_team_id: None,
        agent_instance_id: tenant.agent,
        created_by: None,
        recipe_id: tenant.recipe,
        recipe_slug: "audit".to_owned(),
        recipe_version: "1.0.0".to_owned(),
        experiment_id: None,
        variant: None,
        subject: None,
        priority: 5,
        inputs: json!({"website_url": "https://example.com"}),
        budget_usd: None,
        steps_total: 2,
        tags: vec!["a".to_owned()],
        run_at: None,
        dispatch_id: Some(id()),
        idempotency_key: None,
        request_hash: None,
        group_id: task,
        cookbook_id: None,
        monthly_limit: None,
    }
}
