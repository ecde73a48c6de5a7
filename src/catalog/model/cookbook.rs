//! A cookbook: the recipes of an agent role, and the terms on which it is hired.

use super::{Amount, Slug, Title, Version};
use crate::catalog::read::section;

section! {
    /// A cookbook file.
    pub struct CookbookFile {
        cookbook: Cookbook,
    }

    pub struct Cookbook {
        id: Slug,
        name: Title,
        description: Option<String>,
        version: Version,
        author: Option<String>,
        created_at: Option<String>,
        /// The role that an agency hires; the cookbook's name if left out.
        agent_role: Option<Title>,
        /// Names of secrets that the recipes use.
        required_secrets: Vec<String>,
        allowed_data_sources: Vec<DataSource>,
        /// Slugs of the recipes in it.
        recipes: Vec<Slug>,
        subscription_limits: SubscriptionLimits = SubscriptionLimits::default(),
        pricing: Option<Pricing>,
    }

    pub struct DataSource {
        kind as "type": String,
        description: Option<String>,
        max_pages: Option<u32>,
        respect_robots: Option<bool>,
        providers: Vec<String>,
    }

    /// Enforced by the engine; a limit that is left out does not apply.
    pub struct SubscriptionLimits {
        max_pages_per_crawl: Option<u32>,
        max_executions_per_month: Option<u32>,
        max_concurrent_executions: Option<u32>,
    }

    pub struct Pricing {
        /// For each seat and period.
        base_price: Amount,
        currency: String = "USD".to_owned(),
        billing_period: String = "monthly".to_owned(),
    }
}

impl Cookbook {
    /// The name of the role that the cookbook gives work to.
    #[must_use]
    pub fn role_name(&self) -> &str {
        self.agent_role.as_ref().unwrap_or(&self.name).as_str()
    }
}
