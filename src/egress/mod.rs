//! The guarded HTTP client for every address that a tenant or a page can name.

/// Stands in until the guard is here.
#[derive(Debug)]
pub struct Client;
