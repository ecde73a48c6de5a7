//! `/auth`

use poem_openapi::OpenApi;

#[derive(Clone)]
pub struct AuthApi;

#[OpenApi]
impl AuthApi {}
