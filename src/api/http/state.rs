//! What the API's handlers have.

use std::sync::Arc;

use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;

use super::browsers::Browsers;
use crate::{
    auth::{Auth, oidc::Oidc},
    base::{Clock, apart::Apart},
    egress,
    events::Streams,
    limits::Limiter,
    locker::{KeyProbe, Locker},
    queue::Tickets,
    tasks::{TaskReader, submit::Submitter, workers::Standstill},
};

/// What handlers reach through their access argument; see [`super::security`].
#[derive(Clone)]
pub struct ApiState {
    /// As the role `teamai_api`, under row-level security.
    pub pool: PgPool,
    pub clock: Arc<dyn Clock>,
    pub auth: Arc<Auth>,
    pub oidc: Arc<Oidc>,
    /// Whether anybody may make an agency with POST /auth/register.
    pub registration_open: bool,
    pub locker: Arc<Locker>,
    /// Tries keys on their providers.
    pub key_probe: Arc<dyn KeyProbe>,
    pub submitter: Submitter,
    pub tasks: TaskReader,
    pub tickets: Tickets,
    /// Whether work moves.
    pub standstill: Standstill,
    /// Who follows tasks in this process.
    pub streams: Streams,
    /// For what a stranger's recipe, schema or text may make long.
    pub apart: Arc<Apart>,
    /// What webhooks will be sent with: here it only looks at their addresses.
    pub egress: egress::Client,
    pub limiter: Limiter,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Which other origins' pages may call, and whether over TLS alone.
    pub browsers: Browsers,
    pub metrics: PrometheusHandle,
    /// JSON Schema of recipes, served at `/schemas/recipe.json`.
    pub recipe_schema: Arc<str>,
    /// Names of the model providers that this installation has.
    pub providers: Arc<[String]>,
}
