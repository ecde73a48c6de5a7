//! `/agency`

use poem_openapi::OpenApi;

#[derive(Clone)]
pub struct AgencyApi;

#[OpenApi]
impl AgencyApi {}
