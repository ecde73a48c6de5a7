//! Store and whole tests: the real API and worker on a real Postgres and Redis, one file a topic or fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "the helpers are tests too")]

mod agents;
mod auth;
mod bad_input;
mod cancel;
mod customer;
mod dev_is_killed;
mod experiment;
mod fixture;
mod frame;
mod hostile_page;
mod limits;
mod main_job;
mod many_tasks;
mod model;
mod model_misbehaves;
mod openapi;
mod rate_limits;
mod redis_is_away;
mod secrets;
mod shipped_recipes;
mod site;
mod stack;
mod strangers_recipe;
mod support;
mod teams;
mod ticket_layout;
mod way_of_a_task;
mod worker_is_killed;
mod worker_is_stopped;
