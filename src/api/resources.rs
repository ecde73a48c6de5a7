//! Every resource of the API, and the specification that they make together.

use poem_openapi::{LicenseObject, OpenApi, OpenApiService};

use super::{
    agency, agents, api_keys, approvals, audit_logs, auth, catalogue, events, feedback,
    http::{access, document},
    identities, invites, oidc, pauses, queue, schedules, secrets, sessions, subscriptions, tasks, teams, users,
    webhooks, workers,
};

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

pub(super) fn service() -> OpenApiService<impl OpenApi + Clone, ()> {
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
