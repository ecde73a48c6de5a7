//! Store and whole tests against real Postgres and Redis.

mod fixture;
mod way_of_a_task;
