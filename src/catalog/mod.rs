//! Roles on offer, cookbooks and recipes: the format, its validation, templates, and the catalogue's rows.

pub mod agent;
pub mod check;
pub mod components;
pub mod control;
pub mod destination;
mod file_name;
mod graph;
mod hash;
pub mod inputs;
pub mod listing;
pub mod load;
pub mod lookup;
pub mod model;
pub mod needs;
mod plan;
pub mod problem;
pub mod publish;
mod published;
mod read;
pub mod schema;
pub mod sends;
pub mod template;

pub use check::{Checked, CheckedCookbook};
pub use hash::content_hash;
pub use lookup::{RecipeRef, get, resolve, resolve_in_run, variants};
pub use plan::{Plan, PlanError, Step};
pub use problem::{Problem, Report};
pub use published::{CookbookFacts, Published, VariantHead};

#[cfg(test)]
mod shipped_tests;
