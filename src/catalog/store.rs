//! stub
use std::sync::Arc;
use crate::base::{AgencyId, RecipeId};
use super::model::{Recipe, SubscriptionLimits};
#[derive(Debug)]
pub struct Published { pub id: RecipeId, pub recipe: Arc<Recipe>, pub limits: SubscriptionLimits }
pub async fn get(_pool: &sqlx::PgPool, _agency: AgencyId, _id: RecipeId) -> Result<Option<Published>, sqlx::Error> { Ok(None) }
pub async fn find(_pool: &sqlx::PgPool, _agency: AgencyId, _slug: &str, _v: Option<&str>) -> Result<Option<Published>, sqlx::Error> { Ok(None) }
