//! `/secrets`

use poem_openapi::OpenApi;

#[derive(Clone)]
pub struct SecretsApi;

#[OpenApi]
impl SecretsApi {}
