//! The commands: one file each. The only place that wires the parts together.

mod address;
mod admin;
mod api_client;
mod audit;
mod catalog;
mod commands;
mod completions;
mod config;
mod database;
pub mod dev;
mod env;
mod exit;
mod guarded;
mod healthcheck;
mod key_probe;
mod memory;
mod migrate;
pub mod oidc;
mod openapi;
mod prices;
mod progress;
mod recipe;
mod root_keys;
mod run;
mod runtime;
mod serve;
mod show;
mod shutdown;
mod task_run;
mod telemetry;

pub use commands::main;
