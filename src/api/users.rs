//! `/users`

use poem::web::Data;
use poem_openapi::{
    OpenApi,
    param::{Path, Query},
    payload::Json,
};
use uuid::Uuid;

use super::{
    Admin, ApiState, Problem, Result,
    auth::User,
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
        admin: Admin,
        state: Data<&ApiState>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<User>>> {
        Ok(Json(Listing::of(users::list(admin.scope(), &state.pool, page(limit, cursor)?).await?)))
    }

    /// Get one of the agency's people.
    #[oai(path = "/:id", method = "get", operation_id = "get_user")]
    async fn get_user(&self, admin: Admin, state: Data<&ApiState>, id: Path<Uuid>) -> Result<Json<User>> {
        let user = users::get(admin.scope(), &state.pool, UserId(id.0)).await?;
        user.map(|user| Json(user.into())).ok_or_else(Problem::not_found)
    }
}
