//! The catalogue's rows as the API shows them.

use chrono::{DateTime, Utc};
use poem_openapi::{Object, types::Any};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    base::SecretHost,
    catalog::{self, listing},
    locker,
};

#[derive(Debug, Object)]
pub struct AgentRole {
    id: Uuid,
    /// Null for the platform's own.
    agency_id: Option<Uuid>,
    name: String,
    description: String,
    version: String,
    /// `available`, `upcoming` or `deprecated`.
    status: String,
    capabilities: Any<Value>,
    /// For each seat and month, a decimal string.
    base_price: String,
    currency: String,
    created_at: DateTime<Utc>,
}

impl From<listing::AgentRole> for AgentRole {
    fn from(role: listing::AgentRole) -> Self {
        Self {
            id: role.id.0,
            agency_id: role.agency_id.map(|agency| agency.0),
            name: role.name,
            description: role.description,
            version: role.version,
            status: role.status,
            capabilities: Any(role.capabilities),
            base_price: role.base_price.normalize().to_string(),
            currency: role.currency,
            created_at: role.created_at,
        }
    }
}

#[derive(Debug, Object)]
pub struct Cookbook {
    id: Uuid,
    /// Null for the platform's own.
    agency_id: Option<Uuid>,
    agent_role_id: Uuid,
    slug: String,
    name: String,
    version: String,
    /// The whole cookbook.
    document: Any<Value>,
    created_at: DateTime<Utc>,
}

impl From<listing::CookbookRow> for Cookbook {
    fn from(row: listing::CookbookRow) -> Self {
        Self {
            id: row.id.0,
            agency_id: row.agency_id.map(|agency| agency.0),
            agent_role_id: row.agent_role_id.0,
            slug: row.slug,
            name: row.name,
            version: row.version,
            document: Any(row.document),
            created_at: row.created_at,
        }
    }
}

#[derive(Debug, Object)]
pub struct Recipe {
    id: Uuid,
    /// Null for the platform's own.
    agency_id: Option<Uuid>,
    /// The cookbook's slug.
    cookbook: Option<String>,
    slug: String,
    name: String,
    description: Option<String>,
    version: String,
    /// `published` or `retired`.
    status: String,
    created_at: DateTime<Utc>,
    /// The whole recipe; null in lists.
    document: Option<Any<Value>>,
}

impl From<listing::RecipeRow> for Recipe {
    fn from(row: listing::RecipeRow) -> Self {
        Self {
            id: row.id.0,
            agency_id: row.agency_id.map(|agency| agency.0),
            cookbook: row.cookbook,
            slug: row.slug,
            name: row.name,
            description: row.description,
            version: row.version,
            status: row.status,
            created_at: row.created_at,
            document: row.document.map(Any),
        }
    }
}

/// Something to be said of a recipe, and where.
#[derive(Debug, Object)]
pub struct Finding {
    /// `recipe.workflow.nodes[2].depends_on[0]`.
    path: String,
    message: String,
    /// From 1.
    line: Option<u32>,
    /// From 1, in characters.
    column: Option<u32>,
}

impl From<catalog::Problem> for Finding {
    fn from(problem: catalog::Problem) -> Self {
        Self { path: problem.path, message: problem.message, line: problem.line, column: problem.column }
    }
}

/// The version that now stands.
#[derive(Debug, Object)]
pub struct Published {
    #[oai(flatten)]
    recipe: Recipe,
    /// Such as A/B variants that are not published yet, and secrets that need hosts.
    warnings: Vec<Finding>,
    /// Secrets that had no hosts before, and may from now on be sent to those that the recipe spells out.
    bound_secrets: Vec<BoundSecret>,
}

/// A secret that publishing has bound to hosts.
#[derive(Debug, Object)]
pub struct BoundSecret {
    key_name: String,
    /// Null for the whole agency's.
    team_id: Option<Uuid>,
    /// `api.example.com`, or `api.example.com:8443`.
    hosts: Vec<String>,
}

impl BoundSecret {
    pub fn new(secret: &locker::Bindable, hosts: &[SecretHost]) -> Self {
        Self {
            key_name: secret.key_name.clone(),
            team_id: secret.team_id.map(|team| team.0),
            hosts: hosts.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Published {
    pub fn new(row: listing::RecipeRow, warnings: Vec<Finding>, bound_secrets: Vec<BoundSecret>) -> Self {
        Self { recipe: row.into(), warnings, bound_secrets }
    }
}

/// What was found out about a recipe.
#[derive(Debug, Object)]
pub struct Validation {
    valid: bool,
    problems: Vec<Finding>,
    /// Faults that do not stand in the way.
    warnings: Vec<Finding>,
}

impl Validation {
    pub fn new(problems: Vec<catalog::Problem>, warnings: Vec<catalog::Problem>) -> Self {
        Self {
            valid: problems.is_empty(),
            problems: problems.into_iter().map(Finding::from).collect(),
            warnings: warnings.into_iter().map(Finding::from).collect(),
        }
    }
}
