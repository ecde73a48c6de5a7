//! `/users`

use poem_openapi::OpenApi;

#[derive(Clone)]
pub struct UsersApi;

#[OpenApi]
impl UsersApi {}
