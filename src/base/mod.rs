//! Shared nouns: identifiers, time, randomness, money, token usage, pages; and a small cache.

pub mod cache;
pub mod clock;
pub mod ids;
pub mod money;
pub mod page;
pub mod random;
pub mod spelling;
pub mod usage;

pub use clock::{Clock, SystemClock};
pub use ids::{AgencyId, AgentId, AgentRoleId, AuditId, CookbookId, ExperimentId, PriceId, RecipeId, SecretId};
pub use ids::{SessionId, SubscriptionId, TaskId, TeamId, UserId};
pub use money::Usd;
pub use page::{Page, Paged};
pub use usage::Usage;
