//! Publishing, against a real database.
