//! Roles on offer, cookbooks and recipes: the format, its validation, templates, and the catalogue's rows.

mod graph;
pub mod model;
mod plan;
pub mod problem;
mod read;
pub mod template;

pub use plan::{Plan, PlanError, Step};
pub use problem::{Problem, Report};
