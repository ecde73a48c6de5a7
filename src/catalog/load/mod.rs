//! Puts the cookbooks and recipes of a folder into the platform's catalogue.
//!
//! `<folder>/<cookbook>/cookbook.yaml` and beside it one file for each version of
//! each recipe. A file whose content changed while its version did not is
//! published under the next free version, so that no edit is ever lost in silence
//! and no published version ever changes.

mod error;
mod files;
mod store;

use std::{collections::HashMap, path::Path};

use sqlx::{PgConnection, PgPool};

pub use error::{FileProblem, LoadError};
pub use files::{Folder, RecipeFile, read};

use super::{
    check::{Checked, CheckedCookbook, Offered},
    model::{Recipe, Slug},
    problem::Problem,
    publish,
};
use crate::base::{Clock, CookbookId, RecipeId};

/// What was done, by `slug version` of recipes and slugs of cookbooks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    pub created: Vec<String>,
    /// Cookbooks whose terms changed.
    pub updated: Vec<String>,
    pub unchanged: Vec<String>,
    pub new_versions: Vec<NewVersion>,
    pub warnings: Vec<FileProblem>,
}

/// A changed file, published under another version than it declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVersion {
    pub file: String,
    pub slug: String,
    pub declared: String,
    pub published: String,
}

/// Loads a folder. The pool is the migrating role's, which may become the definer.
/// Everything is loaded or nothing.
///
/// # Errors
/// See [`LoadError`].
pub async fn load_dir(pool: &PgPool, dir: &Path, offered: Offered<'_>, clock: &dyn Clock) -> Result<Loaded, LoadError> {
    let folder = files::read(dir, offered)?;
    let mut tx = pool.begin().await?;
    store::become_definer(&mut tx).await?;
    let loaded = load(&mut tx, &folder, clock).await?;
    tx.commit().await?;
    Ok(loaded)
}

async fn load(db: &mut PgConnection, folder: &Folder, clock: &dyn Clock) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded { warnings: folder.warnings.clone(), ..Loaded::default() };
    for file in &folder.cookbooks {
        load_cookbook(db, &file.checked, folder, clock, &mut loaded).await?;
    }
    let cookbooks = store::platform_cookbooks(db).await?;
    let mut problems = Vec::new();
    for file in &folder.recipes {
        match load_recipe(db, file, &cookbooks, clock, &mut loaded).await {
            Ok(()) => {}
            Err(publish::PublishError::Database(error)) => return Err(error.into()),
            Err(publish::PublishError::Invalid(found)) => {
                problems.extend(found.into_iter().map(|problem| FileProblem { file: file.name.clone(), problem }));
            }
            Err(taken @ publish::PublishError::VersionTaken { .. }) => {
                let problem = Problem::new("recipe.version", taken.to_string());
                problems.push(FileProblem { file: file.name.clone(), problem });
            }
        }
    }
    if !problems.is_empty() {
        return Err(LoadError::Invalid(problems));
    }
    // Only now are all variants published that this folder has.
    for file in &folder.recipes {
        let missing = publish::missing_variants(db, &file.checked).await?;
        loaded.warnings.extend(missing.into_iter().map(|problem| FileProblem { file: file.name.clone(), problem }));
    }
    Ok(loaded)
}

async fn load_cookbook(
    db: &mut PgConnection,
    checked: &CheckedCookbook,
    folder: &Folder,
    clock: &dyn Clock,
    loaded: &mut Loaded,
) -> Result<(), sqlx::Error> {
    let role = store::upsert_role(db, &checked.cookbook, &capabilities(checked, folder), clock).await?;
    let slug = checked.cookbook.id.to_string();
    match store::upsert_cookbook(db, checked, role, clock).await? {
        store::Change::Created => loaded.created.push(slug),
        store::Change::Updated => loaded.updated.push(slug),
        store::Change::None => loaded.unchanged.push(slug),
    }
    Ok(())
}

/// Names of the cookbook's recipes, in its order.
fn capabilities(checked: &CheckedCookbook, folder: &Folder) -> Vec<String> {
    let name = |slug: &Slug| {
        let file = folder.recipes.iter().find(|file| file.checked.recipe.id == *slug)?;
        Some(file.checked.recipe.name.to_string())
    };
    checked.cookbook.recipes.iter().filter_map(name).collect()
}

async fn load_recipe(
    db: &mut PgConnection,
    file: &RecipeFile,
    cookbooks: &HashMap<String, CookbookId>,
    clock: &dyn Clock,
    loaded: &mut Loaded,
) -> Result<(), publish::PublishError> {
    let Checked { recipe, content_hash, .. } = &file.checked;
    let slug = recipe.id.as_str();
    let standing = store::latest_of(db, slug, &recipe.version).await?;
    if let Some(standing) = &standing
        && standing.content_hash == content_hash
    {
        loaded.unchanged.push(format!("{slug} {}", standing.version));
        return Ok(());
    }
    let cookbook = recipe.cookbook.as_ref().map_or(file.cookbook.as_str(), |slug| slug.as_str());
    let mut row = publish::store::NewRecipe {
        id: RecipeId::at(clock.now()),
        agency: None,
        cookbook: cookbooks.get(cookbook).copied(),
        recipe,
        declared: None,
        content_hash,
    };
    if standing.is_none()
        && publish::store::insert(db, &row).await.map_err(|error| publish::refused(error, &file.checked))?.is_some()
    {
        loaded.created.push(format!("{slug} {}", recipe.version));
        return Ok(());
    }
    // The version is taken with other content: the next one that is free.
    row.declared = Some(&recipe.version);
    let mut next = Recipe::clone(recipe);
    loop {
        next.version = next.version.next();
        let row = publish::store::NewRecipe { recipe: &next, ..row };
        if publish::store::insert(db, &row).await.map_err(|error| publish::refused(error, &file.checked))?.is_some() {
            break;
        }
    }
    loaded.new_versions.push(NewVersion {
        file: file.name.clone(),
        slug: slug.to_owned(),
        declared: recipe.version.to_string(),
        published: next.version.to_string(),
    });
    Ok(())
}

#[cfg(test)]
mod tests;
