//! Commands for developers and their machines: whole private installations, and what runs on them.

pub(super) mod bench;
pub(super) mod demo;
pub(super) mod dev_command;
mod private;
pub(super) mod provider_sim;
pub mod stack;
pub(super) mod stack_command;
