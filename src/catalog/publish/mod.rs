//! Publishes a recipe for an agency's own use.

pub(super) mod store;

use sqlx::PgConnection;

use super::{
    check::Checked,
    problem::{Path, Problem},
};
use crate::{
    base::{AgencyId, Clock, RecipeId, TenantScope},
    db,
};

/// The version that now stands.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub id: RecipeId,
    /// False if the same content was published before under this version.
    pub created: bool,
    pub warnings: Vec<Problem>,
}

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(
        "version {version} of `{slug}` is published with other content, and a published version never changes; \
         give the recipe a new version"
    )]
    VersionTaken { slug: String, version: String },
    /// The document names what is not there, or a name that is taken.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Problem>),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Publishes, within a transaction in the agency's context. The same version with the same
/// content may be published again and again: the answer is the version that stands.
///
/// # Errors
/// See [`PublishError`]; roll the transaction back then.
pub async fn publish(
    scope: &TenantScope,
    db: &mut PgConnection,
    checked: &Checked,
    clock: &dyn Clock,
) -> Result<Receipt, PublishError> {
    let (recipe, agency) = (&checked.recipe, scope.agency_id());
    let cookbook = match &recipe.cookbook {
        None => None,
        Some(slug) => Some(store::cookbook(db, slug.as_str()).await?.ok_or_else(|| unknown_cookbook(checked))?),
    };
    let row = store::NewRecipe {
        id: RecipeId::at(clock.now()),
        agency: Some(agency),
        cookbook,
        recipe,
        declared: None,
        content_hash: &checked.content_hash,
    };
    let inserted = store::insert(db, &row).await.map_err(|error| refused(error, checked))?;
    let (id, created) = match inserted {
        Some(id) => (id, true),
        None => (existing(db, agency, checked).await?, false),
    };
    let mut warnings = checked.warnings.clone();
    warnings.extend(missing_variants(db, checked).await?);
    Ok(Receipt { id, created, warnings })
}

async fn existing(db: &mut PgConnection, agency: AgencyId, checked: &Checked) -> Result<RecipeId, PublishError> {
    let recipe = &checked.recipe;
    let standing = store::same_version(db, Some(agency), recipe.id.as_str(), &recipe.version.sort_key()).await?;
    match standing {
        Some(standing) if standing.content_hash == checked.content_hash => Ok(standing.id),
        _ => Err(PublishError::VersionTaken { slug: recipe.id.to_string(), version: recipe.version.to_string() }),
    }
}

/// Variants under test that nobody has published yet: they are left out of the
/// assignment until then.
pub(super) async fn missing_variants(db: &mut PgConnection, checked: &Checked) -> Result<Vec<Problem>, sqlx::Error> {
    let recipe = &checked.recipe;
    let Some(ab_testing) = recipe.ab_testing.as_ref().filter(|ab_testing| ab_testing.enabled) else {
        return Ok(Vec::new());
    };
    let published = store::version_keys(db, recipe.id.as_str()).await?;
    let variants = Path::default().key("recipe").key("ab_testing").key("variants");
    let missing =
        ab_testing.variants.iter().enumerate().filter(|(_, variant)| {
            variant.version != recipe.version && !published.contains(&variant.version.sort_key())
        });
    Ok(missing
        .map(|(index, variant)| {
            let message = format!("version {} is not published yet; it takes no part until it is", variant.version);
            Problem::new(variants.index(index).to_string(), message)
        })
        .collect())
}

fn unknown_cookbook(checked: &Checked) -> PublishError {
    let slug = checked.recipe.cookbook.as_ref().map_or("", |slug| slug.as_str());
    let message = format!("there is no cookbook `{slug}`; GET /cookbooks lists those there are, or leave the key out");
    PublishError::Invalid(vec![Problem::new("recipe.cookbook", message).at(checked.cookbook_mark)])
}

/// Turns a refused insert into what the author can do about it.
pub(super) fn refused(error: sqlx::Error, checked: &Checked) -> PublishError {
    if db::violated_constraint(&error) != Some("recipes_name_taken") {
        return PublishError::Database(error);
    }
    let recipe = &checked.recipe;
    let message = format!(
        "another recipe has the name `{}` in version {}; choose another name or version",
        recipe.name, recipe.version
    );
    PublishError::Invalid(vec![Problem::new("recipe.name", message)])
}

#[cfg(test)]
mod tests;
