//! Schedules: tasks that are made again and again at the times of a cron expression.
//!
//! - [`schedule`]: what one is, and what it is to do
//! - [`cron`]: the expression in its time zone, and the times it means
//! - [`plan`]: which of the times that came make a task
//! - [`manage`]: what people read and change
//! - [`due`]: those whose time has come, and the writes of one time
//! - [`fire`]: what every worker does for the schedules that are due

pub mod cron;
pub mod due;
pub mod fire;
pub mod manage;
mod plan;
mod schedule;

pub use cron::{CronError, CronTimes};
pub use plan::MAX_CATCH_UP;
pub use schedule::{FAILING_AFTER, Job, MAX_SCHEDULES, Missed, Schedule, ScheduleError, Wanted};
