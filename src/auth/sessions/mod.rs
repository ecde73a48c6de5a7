//! A person's sign-ins: listed, and ended one by one.

mod store;

use chrono::{DateTime, Utc};

pub use store::{end, list};

use crate::base::SessionId;

/// A sign-in that is still in force.
#[derive(Debug, Clone)]
pub struct SignIn {
    pub id: SessionId,
    pub user_agent: Option<String>,
    pub created_at: DateTime<Utc>,
    /// When its tokens were last renewed.
    pub renewed_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}
