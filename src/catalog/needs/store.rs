//! SQL of what recipes need. Row-level security shows the platform's rows and the agency's own.

use sqlx::{PgConnection, types::Json};

use super::{Needs, NodeNeeds};
use crate::base::{AgencyId, RecipeId};

/// More recipes than anybody has; the answer stays bounded all the same.
const MAX_RECIPES: i64 = 5_000;

/// The newest version of each slug, as `catalog::lookup` would choose it. Only the
/// parts of nodes that matter leave the database.
pub async fn newest(db: &mut PgConnection) -> Result<Vec<Needs>, sqlx::Error> {
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
    .fetch_all(db)
    .await?;
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

pub async fn is_default_provider(db: &mut PgConnection, provider: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from agencies where settings ->> 'default_provider' = $1)
               or exists (select from agent_instances where status = 'active' and configuration ->> 'provider' = $1)
               as "found!""#,
        provider
    )
    .fetch_one(db)
    .await
}
