//! Store and whole tests: the real API and worker on a real Postgres and Redis, one file a topic or fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "the helpers are tests too")]

mod admin_command;
mod agents;
mod api_keys;
mod auth;
mod bad_input;
mod canary;
mod cancel;
mod customer;
mod dev_is_killed;
mod experiment;
#[path = "../faults/mod.rs"]
mod faults;
mod fixture;
mod frame;
mod hostile_page;
mod identity_provider;
mod invites;
mod limits;
mod locker_life;
mod main_job;
mod many_tasks;
mod model;
mod model_misbehaves;
mod next_request;
mod oidc;
mod oidc_forged;
mod openapi;
mod people;
mod rate_limits;
mod redis_is_away;
mod rls;
mod secrets;
mod shipped_recipes;
mod site;
mod stack;
mod strangers_recipe;
mod support;
mod teams;
mod ticket_layout;
mod way_of_a_task;
mod who_may;
mod worker_is_killed;
mod worker_is_stopped;
