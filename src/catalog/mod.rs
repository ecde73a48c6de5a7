//! Roles on offer, cookbooks and recipes: the format, its validation, templates, and the catalogue's rows.

pub mod check;
mod file_name;
mod graph;
mod hash;
pub mod inputs;
pub mod model;
mod plan;
pub mod problem;
mod read;
pub mod template;

pub use check::{Checked, CheckedCookbook};
pub use plan::{Plan, PlanError, Step};
pub use problem::{Problem, Report};
pub mod store;
