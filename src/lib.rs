//! TeamAI runs AI agent recipes for digital agencies and accounts for every model call exactly once.
//!
//! The layers, from the bottom up; `tests/architecture/` holds who may use whom.
//!
//! - [`base`], [`config`], [`db`]: shared nouns, settings, the pool and its batching lanes
//! - [`tenancy`], [`auth`], [`locker`], [`catalog`], [`egress`], [`billing`], [`experiments`], [`queue`],
//!   [`limits`], [`events`]: the leaves
//! - [`webhooks`]: events that are sent to where an agency wants them
//! - [`providers`], [`simulator`], [`components`]: what a step can do
//! - [`tasks`], [`engine`], [`worker`]: the way of a task
//! - [`api`], [`cli`]: how people and machines reach it

pub mod api;
pub mod auth;
pub mod base;
pub mod billing;
pub mod catalog;
pub mod cli;
pub mod components;
pub mod config;
pub mod db;
pub mod egress;
pub mod engine;
pub mod events;
pub mod experiments;
pub mod limits;
pub mod locker;
pub mod providers;
pub mod queue;
pub mod simulator;
pub mod tasks;
pub mod tenancy;
pub mod webhooks;
pub mod worker;
