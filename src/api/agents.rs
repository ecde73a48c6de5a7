//! `/agents`

use poem_openapi::OpenApi;

#[derive(Clone)]
pub struct AgentsApi;

#[OpenApi]
impl AgentsApi {}
