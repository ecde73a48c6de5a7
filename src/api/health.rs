//! For operators and their machines: is the process up, is it ready, what does it count.

use std::{sync::Arc, time::Duration};

use poem::{IntoResponse, Response, handler, http::StatusCode, web::Data};
use serde_json::json;
use tokio::time::timeout;

use super::http::state::ApiState;
use crate::{db, tasks::workers::standstill};

const PATIENCE: Duration = Duration::from_secs(2);

/// The process is up.
#[handler]
pub fn healthz() -> Response {
    poem::web::Json(json!({"status": "ok"})).into_response()
}

/// 200 when Postgres and Redis answer, the schema is this binary's and work moves, else 503;
/// the body names each check.
#[handler]
pub async fn readyz(state: Data<&Arc<ApiState>>) -> Response {
    let (schema, redis) = tokio::join!(migrations(&state), redis(&state));
    let unknown = |why: &str| Err(format!("unknown {why}"));
    let (postgres, migrations, work) = match schema {
        Ok(Ok(())) => (Ok(()), Ok(()), work(&state).await),
        Ok(behind) => (Ok(()), behind, unknown("until they are applied")),
        Err(error) => (Err(error), unknown("while Postgres is away"), unknown("while Postgres is away")),
    };
    let checks = [("postgres", postgres), ("redis", redis), ("migrations", migrations), ("work", work)];
    let ready = checks.iter().all(|(_, check)| check.is_ok());
    let named: serde_json::Map<String, serde_json::Value> =
        checks.into_iter().map(|(name, check)| (name.to_owned(), json!(check.err().unwrap_or("ok".into())))).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({"status": if ready { "ready" } else { "not ready" }, "checks": named});
    poem::web::Json(body).with_status(status).into_response()
}

/// Outer error: no answer. Inner error: the schema is not this binary's.
async fn migrations(state: &ApiState) -> Result<Result<(), String>, String> {
    match timeout(PATIENCE, db::SCHEMA.missing(&state.pool)).await {
        Ok(Ok(0)) => Ok(Ok(())),
        Ok(Ok(missing)) => Ok(Err(format!("{missing} to be applied; run teamai migrate"))),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: Postgres");
            Err("does not answer".into())
        }
        Err(_) => Err("does not answer in time".into()),
    }
}

async fn redis(state: &ApiState) -> Result<(), String> {
    match timeout(PATIENCE, state.tickets.ping()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: Redis");
            Err("does not answer".into())
        }
        Err(_) => Err("does not answer in time".into()),
    }
}

async fn work(state: &ApiState) -> Result<(), String> {
    match timeout(PATIENCE + standstill::SECOND_LOOK_AFTER, state.standstill.look(&state.pool)).await {
        Ok(Ok(false)) => Ok(()),
        Ok(Ok(true)) => {
            tracing::warn!("not ready: work stands still");
            Err(format!(
                "tasks that could run have waited for more than {} s, and no worker claims any; look at the workers",
                standstill::AFTER_SECONDS
            ))
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: it cannot be determined whether tasks are being worked on");
            Err("cannot be seen".into())
        }
        Err(_) => Err("cannot be seen in time".into()),
    }
}

/// Prometheus text.
#[handler]
#[expect(clippy::needless_pass_by_value, reason = "an extractor")]
pub fn metrics(state: Data<&Arc<ApiState>>) -> Response {
    Response::builder().content_type("text/plain; version=0.0.4").body(state.metrics.render())
}
