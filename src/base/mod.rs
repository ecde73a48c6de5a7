//! Shared nouns: identifiers, time, randomness, money and token usage.

pub mod clock;
pub mod ids;
pub mod money;
pub mod random;
pub mod usage;

pub use clock::{Clock, SystemClock};
pub use ids::{AgencyId, AgentId, AgentRoleId, AuditId, CookbookId, ExperimentId, PriceId, RecipeId, SecretId};
pub use ids::{SessionId, SubscriptionId, TaskId, TeamId, UserId};
pub use money::Usd;
pub use usage::Usage;
