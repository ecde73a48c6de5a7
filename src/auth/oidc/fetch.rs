//! Asking a provider.

use std::sync::Arc;

use futures::future::BoxFuture;
use openidconnect::{HttpRequest, HttpResponse};

/// Sends a request to a provider: checked, bounded in time and size, redirects
/// not followed. This module has no client of its own; whoever starts the process gives it one.
pub type Fetch = Arc<dyn Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse, FetchError>> + Send + Sync>;

/// Why a provider gave no answer; holds nothing secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);
