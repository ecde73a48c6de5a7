//! The agency under load: an agent and two recipes of three steps, made through the API.

use std::net::SocketAddr;

use anyhow::Context;
use serde_json::json;

use super::load::{Connection, Prepared};
use crate::{
    base::random,
    cli::{address, api_client::ApiClient},
};

/// Three recorded steps that cost nothing themselves, as the peers' are measured.
pub const PLAIN: &str = "bench-plain";
/// Three steps around a model call: an intent and a ledger line more.
pub const MODEL: &str = "bench-model";

/// Sends requests as one signed-in agency.
#[derive(Debug)]
pub struct Tenant {
    pub address: SocketAddr,
    token: String,
    agent: String,
}

impl Tenant {
    /// Signs up, hires an agent and publishes the recipes.
    ///
    /// # Errors
    /// The server refuses a step.
    pub async fn sign_up(address: SocketAddr) -> anyhow::Result<Self> {
        let mut api = ApiClient::new(&address::url(address))?;
        let tag = hex::encode(random::bytes::<4>()?);
        let sign_up = json!({
            "agency_name": format!("Bench {tag}"), "email": format!("owner-{tag}@bench.example"),
            "password": hex::encode(random::bytes::<16>()?), "full_name": "Robin Field",
        });
        let session = api.sign_in("/auth/register", &sign_up).await?;
        let token = session["access_token"].as_str().context("no access token")?.to_owned();
        let team = api.post("/teams", &json!({"name": "Bench"})).await?;
        let roles = api.get("/agent-roles?limit=1&status=available").await?;
        let role = &roles["items"][0]["id"];
        api.post("/subscriptions", &json!({"agent_role_id": role, "purchased_count": 1})).await?;
        let agent = json!({
            "agent_role_id": role, "team_id": team["id"], "custom_name": "Bench",
            "configuration": {"provider": "scripted", "model": "scripted-small"},
        });
        let agent = api.post("/agents", &agent).await?["id"].as_str().context("no agent id")?.to_owned();
        for (slug, component, config) in [
            (PLAIN, "Transform", json!({"value": {"topic": "{{ start.topic }}", "words": 2}})),
            (MODEL, "LLMProcessor", json!({"prompt_template": "Two words on {{ start.topic }}", "max_tokens": 20})),
        ] {
            api.post("/recipes", &recipe(slug, component, &config)).await?;
        }
        Ok(Self { address, token, agent })
    }

    /// `POST /tasks` for one run of a recipe.
    #[must_use]
    pub fn submission(&self, recipe: &str) -> Prepared {
        let body = json!({"agent_instance_id": self.agent, "recipe": recipe, "inputs": {"topic": "tea"}});
        Prepared::new("POST", "/tasks", &self.token, &body.to_string())
    }

    /// Submits one run and asks for it until it has ended; gives its status.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn run_one(&self, connection: &mut Connection, submission: &Prepared) -> anyhow::Result<String> {
        let field = |body: &[u8], name: &str| {
            let body: serde_json::Value = serde_json::from_slice(body)?;
            body[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {body}"))
        };
        let (_, body) = connection.call(submission).await?;
        let look = Prepared::new("GET", &format!("/tasks/{}", field(body, "id")?), &self.token, "");
        loop {
            let (_, body) = connection.call(&look).await?;
            let status = field(body, "status")?;
            if !matches!(status.as_str(), "queued" | "running") {
                return Ok(status);
            }
        }
    }
}

fn recipe(slug: &str, component: &str, config: &serde_json::Value) -> serde_json::Value {
    let transform = |topic: &str| json!({"value": {"topic": topic}});
    json!({"recipe": {
        "id": slug, "name": slug, "version": "1.0.0",
        "inputs": [{"name": "topic", "type": "string"}],
        "workflow": {"nodes": [
            {"id": "start", "component": "Transform", "config": transform("{{ inputs.topic }}")},
            {"id": "work", "component": component, "config": config, "depends_on": ["start"]},
            {"id": "end", "component": "Transform", "config": transform("{{ start.topic }}"), "depends_on": ["work"]},
        ]},
        "compliance": {"cost_per_unit": 0.01},
        "budget": {"max_cost_usd": 1},
    }})
}
