//! (module under construction)
mod scope;
pub use scope::{Role, TenantScope};
