//! Identifiers: one type a noun, all UUIDv7, so that id order is creation order.

use std::sync::{LazyLock, Mutex};

use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

static CONTEXT: LazyLock<Mutex<ContextV7>> = LazyLock::new(|| Mutex::new(ContextV7::new()));

/// A UUIDv7 for the given time; within a process later ones sort after earlier ones.
#[must_use]
pub fn uuid_at(now: DateTime<Utc>) -> Uuid {
    let context = CONTEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos()))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize, sqlx::Type, schemars::JsonSchema,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id for something made at `now`.
            #[must_use]
            pub fn at(now: DateTime<Utc>) -> Self {
                Self(uuid_at(now))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

ids! {
    /// A tenant.
    AgencyId,
    TeamId,
    UserId,
    /// One sign-in on one device.
    SessionId,
    /// A machine's credential; the public part of the key.
    ApiKeyId,
    InviteId,
    /// An account at a provider that signs a user in.
    IdentityId,
    AgentRoleId,
    CookbookId,
    /// One version of one recipe.
    RecipeId,
    /// An agent instance: a role hired for a team.
    AgentId,
    SubscriptionId,
    SecretId,
    TaskId,
    /// A ledger line.
    AuditId,
    PriceId,
    ExperimentId,
    ScheduleId,
    WebhookId,
    /// What one webhook is to hear of one event.
    DeliveryId,
}
