//! Tasks: their states, how they come in, who holds them, and what is read of them.
//!
//! - [`approvals`]: what tasks ask of people, and decisions
//! - [`submit`]: from a request to a durable row and a ticket
//! - [`dispatch`]: what gets a ticket next, by turns among agencies
//! - [`feedback`]: what people say of a result
//! - [`lease`]: claim, heartbeat, hand back
//! - [`waking`]: what waits goes on
//! - [`housekeeping`]: what is rolled forward and dropped
//! - [`pauses`]: what an admin holds back
//! - [`schedules`]: tasks at the times of a cron expression
//! - [`workers`]: who runs tasks
//! - [`reader`]: what people see of tasks, within bounds; [`read`] has its statements
//! - [`control`]: cancelling, and putting dead ones back
//! - [`backlog`]: how much waits, comes in and is done

pub mod approvals;
pub mod backlog;
pub mod control;
pub mod dispatch;
pub mod feedback;
pub mod housekeeping;
pub mod lease;
pub mod pauses;
pub mod read;
pub mod reader;
pub mod schedules;
pub mod status;
pub mod submit;
pub mod task;
pub mod waking;
pub mod workers;

pub use reader::TaskReader;
pub use status::TaskStatus;
pub use task::{Step, Task, TaskOutput};
