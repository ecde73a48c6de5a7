//! Tasks: their states, how they come in, who holds them, and what is read of them.
//!
//! - [`approvals`]: what tasks ask of people, and decisions
//! - [`submit`]: from a request to a durable row and a ticket
//! - [`dispatch`]: what gets a ticket next, by turns among agencies
//! - [`feedback`]: what people say of a result
//! - [`lease`]: claim, heartbeat, hand back
//! - [`pauses`]: what an admin holds back
//! - [`schedules`]: tasks at the times of a cron expression
//! - [`workers`]: who runs tasks
//! - [`store`]: what people read, and cancelling

pub mod approvals;
pub mod dispatch;
pub mod feedback;
pub mod lease;
pub mod pauses;
pub mod schedules;
pub mod status;
pub mod store;
pub mod submit;
pub mod task;
pub mod workers;

pub use status::TaskStatus;
pub use task::{Step, Task, TaskOutput};
