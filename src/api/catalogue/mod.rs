//! `/agent-roles`, `/cookbooks`, `/recipes`: the platform's catalogue and the agency's own.

mod binding;
mod refused;
mod shown;
mod text;

use poem_openapi::{
    ApiResponse, Enum, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use self::{
    refused::fields,
    shown::{AgentRole, Cookbook, Finding, Published, Recipe, Validation},
    text::RecipeText,
};
use super::{
    Admin, Member, Problem, Result,
    http::{
        page::{Listing, page},
        problem::FieldError,
        tags::Tag,
    },
    need,
};
use crate::{
    auth::Scope,
    base::{AgentRoleId, RecipeId},
    catalog::{self, check, listing, publish},
    db,
};

#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum RoleStatus {
    Available,
    /// Not to be hired yet.
    Upcoming,
    /// Not to be hired any more.
    Deprecated,
}

#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum RecipeStatus {
    Published,
    /// Runs no new tasks.
    Retired,
}

#[derive(ApiResponse)]
enum PublishAnswer {
    /// A new version stands.
    #[oai(status = 201)]
    Created(Json<Published>),
    /// The same content was published before under this version.
    #[oai(status = 200)]
    Unchanged(Json<Published>),
}

#[derive(Clone)]
pub struct CatalogueApi;

#[OpenApi(tag = "Tag::Catalogue")]
impl CatalogueApi {
    /// List the roles that can be hired, newest first.
    #[oai(path = "/agent-roles", method = "get", operation_id = "list_agent_roles")]
    async fn list_agent_roles(
        &self,
        member: Member<need::CatalogRead>,
        status: Query<Option<RoleStatus>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<AgentRole>>> {
        let status = status.0.map(|status| match status {
            RoleStatus::Available => "available",
            RoleStatus::Upcoming => "upcoming",
            RoleStatus::Deprecated => "deprecated",
        });
        let found = listing::agent_roles(member.scope(), &member.state.pool, status, page(limit, cursor)?).await?;
        Ok(Json(Listing::of(found)))
    }

    /// Get a role.
    #[oai(path = "/agent-roles/:id", method = "get", operation_id = "get_agent_role")]
    async fn get_agent_role(&self, member: Member<need::CatalogRead>, id: Path<Uuid>) -> Result<Json<AgentRole>> {
        let role = listing::agent_role(member.scope(), &member.state.pool, AgentRoleId(id.0)).await?;
        role.map(|role| Json(role.into())).ok_or_else(Problem::not_found)
    }

    /// List cookbooks, newest first.
    #[oai(path = "/cookbooks", method = "get", operation_id = "list_cookbooks")]
    async fn list_cookbooks(
        &self,
        member: Member<need::CatalogRead>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Cookbook>>> {
        let found = listing::cookbooks(member.scope(), &member.state.pool, page(limit, cursor)?).await?;
        Ok(Json(Listing::of(found)))
    }

    /// List every version of every recipe, newest first.
    #[oai(path = "/recipes", method = "get", operation_id = "list_recipes")]
    async fn list_recipes(
        &self,
        member: Member<need::CatalogRead>,
        status: Query<Option<RecipeStatus>>,
        /// A cookbook's slug or id.
        #[oai(validator(max_length = 100))]
        cookbook: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Recipe>>> {
        let status = status.0.map(|status| match status {
            RecipeStatus::Published => "published",
            RecipeStatus::Retired => "retired",
        });
        let slice = page(limit, cursor)?;
        let found = listing::recipes(member.scope(), &member.state.pool, status, cookbook.0.as_deref(), slice).await?;
        Ok(Json(Listing::of(found)))
    }

    /// Get one version of a recipe, with its whole document.
    #[oai(path = "/recipes/:id", method = "get", operation_id = "get_recipe")]
    async fn get_recipe(&self, member: Member<need::CatalogRead>, id: Path<Uuid>) -> Result<Json<Recipe>> {
        let recipe = listing::recipe(member.scope(), &member.state.pool, RecipeId(id.0)).await?;
        recipe.map(|recipe| Json(recipe.into())).ok_or_else(Problem::not_found)
    }

    /// Publish a version of a recipe for the agency's own use. A published version never changes.
    ///
    /// Secrets that the recipe sends and that have no `hosts` yet are bound to the hosts that it
    /// spells out, if the caller may change secrets (`secrets:write`); `bound_secrets` tells which.
    /// For other callers such a recipe is 422 `secret_unbound`. A host that a template makes up binds
    /// nothing: `warnings` tells then which secret needs hosts, given with `PUT /secrets/{key_name}`.
    #[oai(path = "/recipes", method = "post", operation_id = "publish_recipe")]
    async fn publish_recipe(&self, admin: Admin<need::RecipesWrite>, recipe: RecipeText) -> Result<PublishAnswer> {
        let checked = checked(&admin, recipe)
            .await?
            .map_err(|report| Problem::validation(fields(&report.problems)).with_code("invalid_recipe"))?;
        let (state, scope) = (&admin.state, admin.scope());
        let mut tx = db::tenant(&state.pool, scope.agency_id()).await?;
        let receipt = publish::publish(scope, &mut tx, &checked, state.clock.as_ref()).await?;
        let by = binding::Publisher {
            locker: &state.locker,
            probe: state.key_probe.as_ref(),
            agency: scope.agency_id(),
            may_bind: admin.may(Scope::SecretsWrite),
        };
        let bindings = binding::bind(&mut tx, &checked.recipe, &by).await?;
        tx.commit().await?;
        if !bindings.bound.is_empty() {
            state.locker.were_bound(scope.agency_id());
        }
        admin.state.submitter.catalogue_changed(admin.scope());
        let row =
            listing::recipe(admin.scope(), &admin.state.pool, receipt.id).await?.ok_or_else(Problem::not_found)?;
        let warnings = receipt.warnings.into_iter().chain(bindings.warnings).map(Finding::from).collect();
        let answer = Json(Published::new(row, warnings, bindings.bound));
        Ok(if receipt.created { PublishAnswer::Created(answer) } else { PublishAnswer::Unchanged(answer) })
    }

    /// Check a recipe and report every problem, with path and line. Nothing is stored.
    #[oai(path = "/recipes/validate", method = "post", operation_id = "validate_recipe")]
    async fn validate_recipe(&self, admin: Admin<need::RecipesWrite>, recipe: RecipeText) -> Result<Json<Validation>> {
        let (problems, warnings) = match checked(&admin, recipe).await? {
            Ok(checked) => (Vec::new(), checked.warnings),
            Err(report) => (report.problems, report.warnings),
        };
        Ok(Json(Validation::new(problems, warnings)))
    }
}

/// On threads apart: a recipe is a stranger's program.
///
/// # Errors
/// 422: it takes too long.
async fn checked(
    admin: &Admin<need::RecipesWrite>,
    recipe: RecipeText,
) -> Result<std::result::Result<catalog::Checked, catalog::Report>> {
    let work = move || check::recipe(&recipe.0, &catalog::components::exists);
    admin.state.apart.run(admin.scope().agency_id(), work).await.map_err(|why| {
        let message = format!("cannot be checked: {why}; make it shorter, and its schemas and templates simpler");
        Problem::validation(vec![FieldError::new("recipe", message)]).with_code("invalid_recipe")
    })
}
