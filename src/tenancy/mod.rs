//! Who is who: agencies, their teams and people, the seats they buy and the agents they hire.

pub mod agencies;
pub mod agents;
mod error;
pub mod invites;
pub mod names;
pub mod seats;
mod tasks_at_once;
pub mod teams;
pub mod users;

pub use crate::base::{Role, TenantScope};
pub use error::TenancyError;
pub use names::{Email, Invalid, Name};
pub use tasks_at_once::TasksAtOnce;
