//! Facts of a run, for components and templates.

use serde_json::Value;

use crate::{components::Runtime, tasks::lease::Claimed};

pub fn runtime(claimed: &Claimed) -> Runtime {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let agent = (text(&claimed.configuration, "provider"), text(&claimed.configuration, "model"));
    // As a pair: the agent's model with the agency's provider would fit by luck only.
    let (default_provider, default_model) = match agent {
        (None, None) => (text(&claimed.settings, "default_provider"), text(&claimed.settings, "default_model")),
        agent => agent,
    };
    Runtime {
        task_id: claimed.id.into(),
        agency_id: claimed.agency_id.into(),
        team_id: claimed.team_id.into(),
        agent_instance_id: claimed.agent_instance_id.into(),
        recipe_id: claimed.recipe_id.into(),
        now: claimed.started_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        default_provider,
        default_model,
    }
}

pub fn for_templates(runtime: &Runtime) -> Value {
    serde_json::json!({
        "task_id": runtime.task_id,
        "agency_id": runtime.agency_id,
        "team_id": runtime.team_id,
        "agent_instance_id": runtime.agent_instance_id,
        "recipe_id": runtime.recipe_id,
        "now": runtime.now,
    })
}
