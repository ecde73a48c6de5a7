//! Loading folders, against a real database.
