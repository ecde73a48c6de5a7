//! What is shown of secrets, of their checks, and of who needs them. Never a value.

use chrono::{DateTime, Utc};
use poem_openapi::Object;
use uuid::Uuid;

use crate::{
    base::SecretHost,
    catalog::needs::{Needs, ProviderKey},
    locker,
};

/// What may be known of a secret.
#[derive(Debug, Object)]
pub struct Secret {
    key_name: String,
    /// Null for the whole agency's.
    team_id: Option<Uuid>,
    /// 1, then one more with each new value.
    version: i32,
    /// The end of a value of 12 characters or more, else empty.
    last4: String,
    /// Where the value may be sent: nowhere while there is none.
    hosts: Vec<String>,
    /// The model provider whose key it is: it goes there alone, and nowhere where `hosts` is empty.
    provider: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// To the minute; null if no run used it yet.
    last_used_at: Option<DateTime<Utc>>,
}

impl Secret {
    /// `of` is the provider whose key the secret is, with its host if it has one.
    pub fn new(secret: locker::Secret, of: Option<(String, Option<SecretHost>)>) -> Self {
        let (provider, hosts) = match of {
            Some((provider, host)) => (Some(provider), host.iter().map(ToString::to_string).collect()),
            None => (None, secret.hosts),
        };
        Self {
            hosts,
            provider,
            key_name: secret.key_name,
            team_id: secret.team_id.map(|id| id.0),
            version: secret.version,
            last4: secret.last4,
            created_at: secret.created_at,
            updated_at: secret.updated_at,
            last_used_at: secret.last_used_at,
        }
    }
}

/// What a provider said to its key.
#[derive(Debug, Object)]
pub struct KeyCheck {
    works: bool,
    provider: String,
    checked_at: DateTime<Utc>,
    /// For a person: what the provider said, and what to do.
    detail: String,
}

impl From<locker::Checked> for KeyCheck {
    fn from(checked: locker::Checked) -> Self {
        let locker::Checked { works, provider, checked_at, detail } = checked;
        Self { works, provider, checked_at, detail }
    }
}

/// A recipe that needs a secret.
#[derive(Debug, Object)]
pub struct NeedingRecipe {
    recipe_id: Uuid,
    /// The slug.
    recipe: String,
    name: String,
    version: String,
    /// Null for the platform's own.
    agency_id: Option<Uuid>,
    /// The steps that open the secret.
    nodes: Vec<String>,
}

/// By slug, all of them.
#[derive(Debug, Object)]
pub struct NeedingRecipes {
    pub items: Vec<NeedingRecipe>,
}

pub fn needing(recipes: &[Needs], key_name: &str, provider: Option<&ProviderKey<'_>>) -> Vec<NeedingRecipe> {
    let shown = |recipe: &Needs| {
        let nodes = recipe.nodes_that_open(key_name, provider);
        (!nodes.is_empty()).then(|| NeedingRecipe {
            recipe_id: recipe.id.0,
            recipe: recipe.slug.clone(),
            name: recipe.name.clone(),
            version: recipe.version.clone(),
            agency_id: recipe.agency_id.map(|id| id.0),
            nodes: nodes.into_iter().map(str::to_owned).collect(),
        })
    };
    recipes.iter().filter_map(shown).collect()
}
