//! SQL of publishing recipes.

use sqlx::{PgConnection, types::Json};

use crate::{
    base::{AgencyId, CookbookId, RecipeId},
    catalog::model::{Recipe, Version},
};

/// A version to be published.
pub struct NewRecipe<'a> {
    pub id: RecipeId,
    /// `None` for the platform.
    pub agency: Option<AgencyId>,
    pub cookbook: Option<CookbookId>,
    pub recipe: &'a Recipe,
    /// The version in the recipe's file, where another one was published for it.
    pub declared: Option<&'a Version>,
    pub content_hash: &'a [u8; 32],
}

/// A recipe as it is stored, with the version that its file declared.
#[derive(serde::Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    recipe: &'a Recipe,
    #[serde(skip_serializing_if = "Option::is_none")]
    published_from: Option<&'a Version>,
}

/// What stands under a version.
pub struct Standing {
    pub id: RecipeId,
    pub version: String,
    pub content_hash: Vec<u8>,
}

/// The cookbook of the slug, the agency's own before the platform's.
pub async fn cookbook(db: &mut PgConnection, slug: &str) -> Result<Option<CookbookId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id: CookbookId" from cookbooks where slug = $1 order by agency_id is null limit 1"#,
        slug
    )
    .fetch_optional(db)
    .await
}

/// `None` if the version is taken. `1.0` and `1.0.0` are the same version, so the
/// key decides, and writers of one slug wait for each other.
pub async fn insert(db: &mut PgConnection, new: &NewRecipe<'_>) -> Result<Option<RecipeId>, sqlx::Error> {
    let agency = new.agency.map(|agency| agency.0);
    let recipe = new.recipe;
    sqlx::query_scalar!(
        r#"select pg_advisory_xact_lock(hashtextextended('recipe ' || coalesce($1::uuid::text, '') || ' ' || $2::text, 0))
           as "locked: ()""#,
        agency,
        recipe.id.as_str()
    )
    .fetch_one(&mut *db)
    .await?;
    sqlx::query_scalar!(
        r#"insert into recipes (id, agency_id, cookbook_id, slug, name, version, version_key, document, content_hash)
           select $1, $2, $3, $4, $5, $6, $7, $8, $9
            where not exists (select from recipes where agency_id is not distinct from $2 and slug = $4 and version_key = $7)
           returning id as "id: RecipeId""#,
        new.id.0,
        agency,
        new.cookbook.map(|cookbook| cookbook.0),
        recipe.id.as_str(),
        recipe.name.as_str(),
        recipe.version.as_str(),
        recipe.version.sort_key(),
        Json(Document { recipe, published_from: new.declared }) as _,
        new.content_hash.as_slice()
    )
    .fetch_optional(db)
    .await
}

pub async fn same_version(
    db: &mut PgConnection,
    agency: Option<AgencyId>,
    slug: &str,
    version_key: &str,
) -> Result<Option<Standing>, sqlx::Error> {
    sqlx::query_as!(
        Standing,
        r#"select id as "id: RecipeId", version, content_hash from recipes
            where agency_id is not distinct from $1 and slug = $2 and version_key = $3"#,
        agency.map(|agency| agency.0),
        slug,
        version_key
    )
    .fetch_optional(db)
    .await
}

/// Sort keys of all published versions of a slug.
pub async fn version_keys(db: &mut PgConnection, slug: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!("select version_key from recipes where slug = $1 and status = 'published'", slug)
        .fetch_all(db)
        .await
}

#[cfg(test)]
pub mod tests {
    use sqlx::PgPool;

    use crate::base::AgencyId;

    /// An agency to publish for.
    pub async fn agency(owner: &PgPool, id: AgencyId, name: &str) {
        sqlx::query!("insert into agencies (id, name) values ($1, $2)", id.0, name).execute(owner).await.unwrap();
    }
}
