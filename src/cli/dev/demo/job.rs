//! The main job through the HTTP API: from signing up to the ledger.

use anyhow::Context;
use serde_json::{Value, json};

use super::model::Choice;
use crate::{
    base::random,
    cli::{
        api_client::ApiClient,
        progress::Progress,
        task_run::{self, Outcome, id_of, items},
    },
};

const ROLE: &str = "SEO Specialist";
const RECIPE: &str = "site-audit";
const MAX_PAGES: u32 = 25;

/// Signs an agency up, stores the key, hires an agent and lets it audit the site.
///
/// # Errors
/// The server refuses a step or the task does not end. A task that fails is an outcome.
pub async fn run(api: &mut ApiClient, model: &Choice, site: &str, progress: &mut Progress) -> anyhow::Result<Outcome> {
    let agent = hire(api, model, progress).await?;
    let task = enqueue(api, &agent, site, progress).await?;
    task_run::follow(api, &task, progress).await
}

async fn hire(api: &mut ApiClient, model: &Choice, progress: &Progress) -> anyhow::Result<String> {
    let tag = hex::encode(random::bytes::<4>()?);
    let email = format!("owner-{tag}@northwind.example");
    let sign_up = json!({
        "agency_name": format!("Northwind Digital {tag}"), "email": email,
        "password": hex::encode(random::bytes::<16>()?), "full_name": "Robin Field",
    });
    api.sign_in("/auth/register", &sign_up).await?;
    progress.done(&format!("signed up the agency Northwind Digital {tag}, with {email} as its admin"));

    let secret = format!("{}_api_key", model.provider);
    api.put(&format!("/secrets/{secret}"), &json!({"value": model.key})).await?;
    progress.done(&format!("put {secret} in the locker"));

    let team = id_of(&api.post("/teams", &json!({"name": "Search"})).await?)?;
    let roles = items(api.get("/agent-roles?limit=200").await?)?;
    let role =
        roles.iter().find(|role| role["name"] == ROLE).with_context(|| format!("the catalogue has no {ROLE}"))?;
    let role = id_of(role)?;
    api.post("/subscriptions", &json!({"agent_role_id": role, "purchased_count": 1})).await?;
    let configuration = json!({"provider": model.provider, "model": model.model});
    let agent = json!({"agent_role_id": role, "team_id": team, "custom_name": "Ada", "configuration": configuration});
    let agent = id_of(&api.post("/agents", &agent).await?)?;
    progress.done(&format!("hired an {ROLE}, Ada, who works with {}/{}", model.provider, model.model));
    Ok(agent)
}

async fn enqueue(api: &mut ApiClient, agent: &str, site: &str, progress: &Progress) -> anyhow::Result<Value> {
    let inputs = json!({"website_url": site, "max_pages": MAX_PAGES});
    let task = json!({"agent_instance_id": agent, "recipe": RECIPE, "inputs": inputs});
    let task = api.post("/tasks", &task).await?;
    progress.done(&format!("enqueued {RECIPE} for {site}: task {}", id_of(&task)?));
    Ok(task)
}
