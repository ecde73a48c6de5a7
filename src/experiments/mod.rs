//! Which version of a recipe a run is given, and what came of it.

mod assign;
pub mod store;

pub use assign::arm_of;
pub use store::{Declaration, Experiment};
