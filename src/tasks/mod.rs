//! Tasks: their states, how they come in, who holds them, and what is read of them.
//!
//! - [`submit`]: from a request to a durable row and a ticket
//! - [`lease`]: claim, heartbeat, hand back, and what needs a new ticket
//! - [`feedback`]: what people say of a result
//! - [`schedules`]: tasks at the times of a cron expression
//! - [`store`]: what people read, and cancelling

pub mod feedback;
pub mod lease;
pub mod schedules;
pub mod status;
pub mod store;
pub mod submit;
pub mod task;

pub use status::TaskStatus;
pub use task::{Step, Task, TaskOutput};
