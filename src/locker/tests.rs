//! Store tests of the locker, on a real Postgres.
