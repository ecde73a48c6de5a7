//! Which version of a recipe a run is given, and what came of it.

mod assign;
pub mod experiment;

pub use assign::arm_of;
pub use experiment::{Declaration, Experiment};
