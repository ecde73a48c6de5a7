//! The HTTP API: one file a resource, and the frame around them.
//!
//! To add a resource: write `mod name;` and put its API into [`resources`].

mod access;
mod agency;
mod agents;
mod api_keys;
mod approvals;
mod audit_logs;
mod auth;
pub mod body;
mod browsers;
mod catalogue;
pub mod check;
mod client_address;
mod connections;
mod docs;
mod document;
mod doubled;
mod errors;
mod events;
mod explain;
mod feedback;
mod frame;
mod gate;
mod health;
mod idempotency;
mod identities;
mod invites;
pub mod json_object;
mod oidc;
pub mod page;
mod pauses;
pub mod problem;
mod queue;
mod schedules;
mod scope_name;
mod secrets;
pub mod security;
mod sessions;
mod subscriptions;
mod tags;
mod tasks;
mod teams;
mod time;
mod users;
mod webhooks;
mod workers;

use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;
use metrics_exporter_prometheus::PrometheusHandle;
use poem::{Endpoint, EndpointExt, IntoResponse, Response, Route, endpoint::make_sync};
use poem_openapi::{LicenseObject, OpenApi, OpenApiService};
use sqlx::PgPool;

pub use browsers::Browsers;
pub use connections::Connections;
pub use problem::{Problem, Result};
pub use security::{Admin, Member, Open, Person, PersonAdmin};

pub use crate::auth::need;
use crate::{
    auth::{Auth, oidc::Oidc},
    base::{Clock, apart::Apart},
    egress,
    events::Streams,
    limits::Limiter,
    locker::{KeyProbe, Locker},
    queue::Tickets,
    tasks::{submit::Submitter, workers::Standstill},
};

/// What handlers reach through their access argument; see [`security`].
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

fn resources() -> impl OpenApi + Clone {
    access::Stated((
        auth::AuthApi,
        oidc::OidcApi,
        (sessions::SessionsApi, identities::IdentitiesApi),
        api_keys::ApiKeysApi,
        agency::AgencyApi,
        teams::TeamsApi,
        users::UsersApi,
        invites::InvitesApi,
        subscriptions::SubscriptionsApi,
        agents::AgentsApi,
        secrets::SecretsApi,
        catalogue::CatalogueApi,
        // A tuple has room for 16.
        (tasks::TasksApi, feedback::FeedbackApi, approvals::ApprovalsApi, schedules::SchedulesApi),
        (events::EventsApi, webhooks::WebhooksApi),
        (queue::QueueApi, pauses::PausesApi, workers::WorkersApi),
        audit_logs::AuditLogsApi,
    ))
}

fn service() -> OpenApiService<impl OpenApi + Clone, ()> {
    OpenApiService::new(resources(), "TeamAI", env!("CARGO_PKG_VERSION"))
        .summary("Runs AI agent recipes for digital agencies, and accounts for every model call.")
        .description(
            "JSON in, JSON out. Sign in with POST /auth/login and send the access token as \
             `Authorization: Bearer TOKEN`, or an API key in its place. Every error is an RFC 9457 problem whose `code` is stable. \
             Lists take `limit` (1 to 200) and `cursor`, and go from the newest to the oldest. \
             A path with its query has at most 8 KiB, the headers 32 KiB, a body 1 MiB, nested at most 32 deep with \
             at most 100,000 values, unless an operation says otherwise. \
             Requests are counted by user and by agency, and where no token is needed by address: 429 says in \
             `Retry-After` when to go on.",
        )
        .license(LicenseObject::new("Apache-2.0").identifier("Apache-2.0"))
}

/// The OpenAPI document as JSON. Needs no database.
#[must_use]
pub fn spec() -> String {
    document::complete(&service().spec())
}

/// The whole API as one endpoint: resources, documents, health and metrics.
#[must_use]
pub fn routes(state: ApiState) -> impl Endpoint<Output = Response> + 'static {
    let service = service();
    let spec = document::complete(&service.spec());
    let operations = Arc::new(document::Operations::read(&spec));
    let gate = gate::Gate {
        operations: Arc::clone(&operations),
        limiter: state.limiter.clone(),
        trusted_proxies: Arc::clone(&state.trusted_proxies),
    };
    let schema = Arc::clone(&state.recipe_schema);
    let frame = frame::Frame(state.browsers.clone());
    let state = Arc::new(state);
    Route::new()
        .at("/healthz", poem::get(health::healthz))
        .at("/readyz", poem::get(health::readyz).data(Arc::clone(&state)))
        .at("/metrics", poem::get(health::metrics).data(Arc::clone(&state)))
        .at("/openapi.json", poem::get(json_text(Bytes::from(spec))))
        .at("/schemas/recipe.json", poem::get(json_text(Bytes::copy_from_slice(schema.as_bytes()))))
        .nest("/docs", Route::new().at("/", docs::page(service.swagger_ui_html())))
        .nest(
            "/",
            idempotency::Idempotent::new(service.data(security::Attached(Arc::clone(&state))), state, operations),
        )
        .with(gate)
        .with(frame)
}

fn json_text(text: Bytes) -> impl Endpoint {
    make_sync(move |_| text.clone().with_content_type("application/json").into_response())
}
