//! Shared nouns: identifiers, who asks, time, randomness, money, token usage, pages, shares, semaphores; and a small cache.

pub mod agency_semaphores;
pub mod apart;
pub mod cache;
pub mod clock;
pub mod host_name;
pub mod ids;
pub mod json_schema;
pub mod metered;
pub mod money;
pub mod network;
pub mod page;
pub mod random;
pub mod redis_type;
pub mod scope;
pub mod secret_host;
pub mod shares;
pub mod spelling;
pub mod usage;
pub mod weight;

pub use clock::{Clock, SystemClock};
pub use ids::{
    AgencyId, AgentId, AgentRoleId, ApiKeyId, AuditId, CookbookId, ExperimentId, IdentityId, InviteId, PriceId,
    ScheduleId,
};
pub use ids::{DeliveryId, WebhookId};
pub use ids::{RecipeId, SecretId, SessionId, SubscriptionId, TaskId, TeamId, UserId};
pub use metered::Metered;
pub use money::Usd;
pub use page::{Page, Paged};
pub use scope::{Actor, Role, RunScope, TenantScope};
pub use secret_host::{MAX_SECRET_HOSTS, SecretHost};
pub use usage::Usage;
