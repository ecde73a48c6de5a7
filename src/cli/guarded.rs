//! The HTTP client for whatever a tenant can name, with what the operator allows.

use crate::{
    config::Config,
    egress::{self, Policy},
};

/// The client for whatever a tenant can name.
pub(super) fn guarded(config: &Config) -> Result<egress::Client, egress::Error> {
    egress::Client::new(Policy::new(&config.egress.allow)?.closed_to(config.own_services()))
}
