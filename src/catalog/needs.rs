//! Which recipes need which secret, as far as a recipe says so before it runs.
//! Row-level security shows the platform's recipes and the agency's own.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use sqlx::{PgPool, types::Json};

use super::{components, model::SecretRef};
use crate::{
    base::{AgencyId, RecipeId},
    db,
};

/// The secret of the name in which a language model node brings its own key.
const OWN_KEY: &str = "api_key";

/// More recipes than anybody has; the answer stays bounded all the same.
const MAX_RECIPES: i64 = 5_000;

/// The newest published version of a recipe that the agency can run, with what
/// its nodes say about secrets and models.
#[derive(Debug)]
pub struct Needs {
    pub id: RecipeId,
    /// `None` for the platform's own.
    pub agency_id: Option<AgencyId>,
    pub slug: String,
    pub name: String,
    pub version: String,
    nodes: Vec<NodeNeeds>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeNeeds {
    id: String,
    component: String,
    secrets: BTreeMap<String, SecretRef>,
    provider: Option<Value>,
    model: Option<Value>,
    fallback_model: Option<Value>,
    fallback_models: Option<Value>,
}

/// How a secret's name is matched with a recipe's models.
pub struct ProviderKey<'a> {
    /// The provider whose key it is.
    pub provider: &'a str,
    /// The provider of a model that is named without one.
    pub provider_of: &'a dyn Fn(&str) -> Option<String>,
    /// Whether agents without a word from the recipe may go to this provider.
    pub is_default: bool,
}

/// What every recipe that the agency can run needs, by slug; retired ones aside. Of each
/// slug the version that `catalog::lookup` would choose. Only the parts of nodes that
/// matter leave the database.
///
/// # Errors
/// The database is unavailable.
pub async fn of_agency(pool: &PgPool, agency: AgencyId) -> Result<Vec<Needs>, sqlx::Error> {
    let mut tx = db::tenant(pool, agency).await?;
    let rows = sqlx::query!(
        r#"select n.id as "id: RecipeId", n.agency_id as "agency_id: AgencyId", n.slug, n.name, n.version,
                  coalesce(w.nodes, '[]') as "nodes!: Json<Vec<NodeNeeds>>"
             from (select distinct on (slug) * from recipes where status = 'published'
                    order by slug, agency_id is null, version_key like '%~' desc, version_key desc) n
            cross join lateral (
              select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                       'id', node -> 'id', 'component', node -> 'component', 'secrets', node -> 'secrets',
                       'provider', node #> '{config,provider}', 'model', node #> '{config,model}',
                       'fallback_model', node #> '{config,fallback_model}',
                       'fallback_models', node #> '{config,fallback_models}')) order by nth) as nodes
                from jsonb_array_elements(n.document #> '{workflow,nodes}') with ordinality as e (node, nth)
               where node ->> 'component' in ('LLMProcessor', 'Agent', 'QualityJudge') or node -> 'secrets' <> '{}') w
            order by n.slug limit $1"#,
        MAX_RECIPES,
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let needs = rows.into_iter().map(|row| Needs {
        id: row.id,
        agency_id: row.agency_id,
        slug: row.slug,
        name: row.name,
        version: row.version,
        nodes: row.nodes.0,
    });
    Ok(needs.collect())
}

/// Whether the agency's settings or one of its active agents choose this provider
/// for recipes that name none.
///
/// # Errors
/// The database is unavailable.
pub async fn is_default_provider(pool: &PgPool, agency: AgencyId, provider: &str) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, agency).await?;
    let found = sqlx::query_scalar!(
        r#"select exists (select from agencies where settings ->> 'default_provider' = $1)
               or exists (select from agent_instances where status = 'active' and configuration ->> 'provider' = $1)
               as "found!""#,
        provider
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(found)
}

impl Needs {
    /// The nodes that open the secret: those that name it, and those whose model
    /// is the provider's whose key it is. A model that is a template is only known
    /// when the recipe runs, and so is not counted.
    #[must_use]
    pub fn nodes_that_open(&self, key_name: &str, provider: Option<&ProviderKey<'_>>) -> Vec<&str> {
        let opens = |node: &&NodeNeeds| node.names(key_name) || provider.is_some_and(|key| node.asks(key));
        self.nodes.iter().filter(opens).map(|node| node.id.as_str()).collect()
    }
}

impl NodeNeeds {
    fn names(&self, key_name: &str) -> bool {
        self.secrets.values().any(|secret| secret.key_name() == key_name)
    }

    fn asks(&self, key: &ProviderKey<'_>) -> bool {
        let asks_model = components::find(&self.component).is_some_and(|spec| spec.asks_model);
        if !asks_model || self.secrets.contains_key(OWN_KEY) {
            return false;
        }
        let given = texts(self.provider.as_ref()).first().copied();
        let own = texts(self.model.as_ref());
        let fallbacks = [&self.fallback_model, &self.fallback_models];
        let first = match (own.first(), given) {
            (_, Some(provider)) => provider == key.provider,
            (Some(model), None) => key.owns(model),
            (None, None) => key.is_default,
        };
        first || fallbacks.into_iter().flat_map(|value| texts(value.as_ref())).any(|model| key.owns(model))
    }
}

impl ProviderKey<'_> {
    /// As a run resolves a model without a `provider` beside it.
    fn owns(&self, model: &str) -> bool {
        match model.split_once('/') {
            Some((provider, _)) if provider == self.provider => true,
            _ => (self.provider_of)(model).map_or(self.is_default, |provider| provider == self.provider),
        }
    }
}

/// A text, or a list of them; without templates and blanks.
fn texts(value: Option<&Value>) -> Vec<&str> {
    let known = |text: &&str| !text.is_empty() && !text.contains("{{") && !text.contains("{%");
    match value {
        Some(Value::String(text)) => Some(text.trim()).into_iter().filter(known).collect(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::trim).filter(known).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn opened(nodes: &Value, key_name: &str, is_default: bool) -> Vec<String> {
        let needs = Needs {
            id: RecipeId(uuid::Uuid::nil()),
            agency_id: None,
            slug: "r".into(),
            name: "R".into(),
            version: "1".into(),
            nodes: serde_json::from_value(nodes.clone()).unwrap(),
        };
        let provider_of = |model: &str| (model == "gpt-4o").then(|| "openai".to_owned());
        let provider = key_name.strip_suffix("_api_key");
        let key = provider.map(|provider| ProviderKey { provider, provider_of: &provider_of, is_default });
        needs.nodes_that_open(key_name, key.as_ref()).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn a_node_that_names_a_secret_opens_it_in_either_scope() {
        let nodes = json!([
            {"id": "a", "component": "HttpRequest", "secrets": {"k": "secret:door"}},
            {"id": "b", "component": "HttpRequest", "secrets": {"k": "secret:team:door"}},
            {"id": "c", "component": "HttpRequest", "secrets": {"door": "secret:other"}},
            {"id": "d", "component": "Transform"},
        ]);
        assert_eq!(opened(&nodes, "door", false), ["a", "b"]);
        assert!(opened(&nodes, "k", true).is_empty());
    }

    #[test]
    fn a_node_opens_the_key_of_each_provider_that_it_may_ask() {
        let nodes = json!([
            {"id": "both", "component": "LLMProcessor", "model": "groq/x", "fallback_models": ["openai/y"]},
            {"id": "bare", "component": "LLMProcessor", "model": "gpt-4o"},
            {"id": "told", "component": "LLMProcessor", "model": "gpt-4o", "provider": "azure"},
            {"id": "own", "component": "LLMProcessor", "model": "openai/y", "secrets": {"api_key": "secret:mine"}},
            {"id": "agent", "component": "Agent", "provider": "groq", "model": "x"},
            {"id": "judge", "component": "QualityJudge", "model": "gpt-4o"},
            {"id": "none", "component": "LLMProcessor"},
            {"id": "later", "component": "LLMProcessor", "model": "{{ inputs.model }}"},
            {"id": "page", "component": "WebsiteConnector", "model": "openai/y"},
        ]);
        assert_eq!(opened(&nodes, "openai_api_key", false), ["both", "bare", "judge"]);
        assert_eq!(opened(&nodes, "groq_api_key", false), ["both", "agent"]);
        assert_eq!(opened(&nodes, "azure_api_key", false), ["told"]);
        assert_eq!(opened(&nodes, "mine", false), ["own"]);
        assert_eq!(opened(&nodes, "openai_api_key", true), ["both", "bare", "judge", "none", "later"]);
    }
}
