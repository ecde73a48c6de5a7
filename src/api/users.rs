//! `/users`

use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use super::{
    Admin, Problem, Result,
    auth::User,
    need,
    page::{Listing, page},
    tags::Tag,
};
use crate::{base::UserId, tenancy::users};

#[derive(Clone)]
pub struct UsersApi;

#[OpenApi(prefix_path = "/users", tag = "Tag::Agency")]
impl UsersApi {
    /// List the agency's people.
    #[oai(path = "/", method = "get", operation_id = "list_users")]
    async fn list_users(
        &self,
        admin: Admin<need::PeopleRead>,
        limit: Query<Option<u32>>,
        cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<User>>> {
        Ok(Json(Listing::of(users::list(admin.scope(), &admin.state.pool, page(limit, cursor)?).await?)))
    }

    /// Get one of the agency's people.
    #[oai(path = "/:id", method = "get", operation_id = "get_user")]
    async fn get_user(&self, admin: Admin<need::PeopleRead>, id: Path<Uuid>) -> Result<Json<User>> {
        let user = users::get(admin.scope(), &admin.state.pool, UserId(id.0)).await?;
        user.map(|user| Json(user.into())).ok_or_else(Problem::not_found)
    }
}
