//! `/subscriptions`

use poem_openapi::OpenApi;

#[derive(Clone)]
pub struct SubscriptionsApi;

#[OpenApi]
impl SubscriptionsApi {}
