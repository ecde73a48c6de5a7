//! Around the resources: a request with a key does its work once.

use std::{panic::resume_unwind, sync::Arc};

use poem::{
    Body, Endpoint, IntoResponse, Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::{Instrument, warn};
use uuid::Uuid;

use super::stored_answers::{self, Found, Place};
use crate::{
    api::{
        Problem, Result,
        http::{admit, document::Operations, errors::from_framework, security, state::ApiState},
    },
    base::{TenantScope, random},
    db,
    locker::{Locker, LockerError},
};

const HEADER: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";
/// Operations that keep the promise themselves.
const OWN_WAY: &[&str] = &["run_recipe", "run_recipes"];
/// Bytes of a request with a key, all of which are compared.
const MAX_REQUEST_BYTES: usize = 16 << 20;
/// Bytes of an answer that is kept.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Around the resources of the API.
pub struct Idempotent<E> {
    endpoint: Arc<E>,
    state: Arc<ApiState>,
    operations: Arc<Operations>,
}

/// A request that has taken its key.
struct Work {
    state: Arc<ApiState>,
    place: Place,
    claim: Uuid,
}

/// What is kept of an answer, beside its status.
#[derive(Serialize, Deserialize)]
struct Answer {
    content_type: Option<String>,
    location: Option<String>,
    body: String,
}

impl<E: Endpoint + 'static> Idempotent<E> {
    pub fn new(endpoint: E, state: Arc<ApiState>, operations: Arc<Operations>) -> Self {
        Self { endpoint: Arc::new(endpoint), state, operations }
    }

    /// The operation and the key, where there is something to do here.
    fn keyed(&self, request: &Request) -> Option<(String, String)> {
        if request.method() != Method::POST {
            return None;
        }
        let key = request.headers().get(HEADER)?.to_str().ok()?.to_owned();
        let operation = self.operations.with_token(request.method(), request.uri().path())?;
        (!OWN_WAY.contains(&operation)).then(|| (operation.to_owned(), key))
    }

    async fn once(&self, mut request: Request, operation: String, key: String) -> poem::Result<Response> {
        // Without a good token the handler says what is wrong.
        let Ok(scope) = security::identify(&request, &self.state).await else {
            return Ok(self.endpoint.call(request).await?.into_response());
        };
        let body = request.take_body().into_bytes_limit(MAX_REQUEST_BYTES).await.map_err(|_| {
            Problem::too_large(format!("A request with an Idempotency-Key has at most {MAX_REQUEST_BYTES} bytes."))
        })?;
        let place = Place { scope, caller: scope.actor().id(), operation, key };
        let hash = request_hash(&request, &scope, &body);
        request.set_body(Body::from(body));
        let claim = Uuid::from_bytes(random::bytes::<16>().map_err(|error| Problem::internal(&error))?);
        let work = Work { state: Arc::clone(&self.state), place, claim };
        match stored_answers::take(&work.state.pool, &work.place, &hash, claim).await.map_err(Problem::from)? {
            Found::Free => self.run(work, request).await,
            Found::Reused => Err(reused().into()),
            Found::UnderWay { minute_old } => Err(under_way(minute_old).into()),
            Found::Answered { status, answer } => {
                // The handler, which counts requests, is not asked.
                admit::request(&request, &work.state, &scope).await?;
                Ok(work.replay(status, &answer).await?)
            }
        }
    }

    /// The work, to its end whatever the client does.
    async fn run(&self, work: Work, request: Request) -> poem::Result<Response> {
        let endpoint = Arc::clone(&self.endpoint);
        let whole = async move {
            let answer = endpoint.call(request).await.map(IntoResponse::into_response);
            work.settle(answer).await
        };
        match tokio::spawn(whole.in_current_span()).await {
            Ok(answer) => answer,
            // For the frame, as without a key. Whether anything was made is not known.
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => Err(Problem::internal(&error).into()),
        }
    }
}

impl<E: Endpoint + 'static> Endpoint for Idempotent<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        match self.keyed(&request) {
            Some((operation, key)) => self.once(request, operation, key).await,
            None => Ok(self.endpoint.call(request).await?.into_response()),
        }
    }
}

impl Work {
    /// Keeps an answer of success, else gives the key back.
    async fn settle(&self, answer: poem::Result<Response>) -> poem::Result<Response> {
        let (answer, response) = match answer {
            Ok(response) if response.status().is_success() => take_apart(response).await?,
            other => (None, other),
        };
        let status = response.as_ref().map_or(StatusCode::INTERNAL_SERVER_ERROR, Response::status);
        let settled = match answer {
            Some(answer) => self.keep(status, &answer).await,
            // What failed on our side may have been done in part.
            None if is_server_error(response.as_ref()) => Ok(()),
            None => stored_answers::give_back(&self.state.pool, &self.place, self.claim).await.map_err(Into::into),
        };
        if let Err(error) = settled {
            warn!(%error, operation = self.place.operation, "the answer to a request with a key was not kept");
        }
        response
    }

    async fn keep(&self, status: StatusCode, answer: &Answer) -> std::result::Result<(), LockerError> {
        let text = serde_json::to_vec(answer).unwrap_or_default();
        let (agency, status) = (self.place.agency(), i16::try_from(status.as_u16()).unwrap_or_default());
        let mut tx = db::tenant(&self.state.pool, agency).await?;
        let sealed = self.locker().seal(&mut tx, agency, &context(&self.place), &text).await?;
        stored_answers::keep(&mut tx, &self.place, self.claim, status, &sealed).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn replay(&self, status: i16, sealed: &crate::locker::Envelope) -> Result<Response> {
        let agency = self.place.agency();
        let mut tx = db::tenant(&self.state.pool, agency).await?;
        let text = self.locker().unseal(&mut tx, agency, &context(&self.place), sealed).await;
        tx.commit().await?;
        let text = text.map_err(|error| Problem::internal(&error))?.ok_or_else(|| {
            let detail =
                "The request was carried out, but its answer cannot be shown again, because the agency's key has been replaced since.";
            Problem::conflict("idempotency_answer_gone", detail)
        })?;
        let answer: Answer = serde_json::from_slice(&text).map_err(|error| Problem::internal(&error))?;
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let mut response = Response::builder().status(status.unwrap_or_default()).body(answer.body);
        let headers = response.headers_mut();
        for (name, value) in [(header::CONTENT_TYPE, answer.content_type), (header::LOCATION, answer.location)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    fn locker(&self) -> &Locker {
        &self.state.locker
    }
}

/// Binds a sealed answer to its row.
fn context(place: &Place) -> Vec<u8> {
    format!("{}/{}/{}", place.caller, place.operation, place.key).into_bytes()
}

/// What makes two requests the same: with another role or team it is another one, so that
/// nobody is given an answer that they could not have now.
fn request_hash(request: &Request, scope: &TenantScope, body: &[u8]) -> Vec<u8> {
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let standing = format!("{:?} {:?}", scope.role(), scope.team_id());
    let mut hash = Sha256::new();
    for part in [target.as_bytes(), standing.as_bytes(), body] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// An answer as it is kept, and put together again. One that is no text, too large or sets a
/// cookie is not kept.
async fn take_apart(response: Response) -> poem::Result<(Option<Answer>, poem::Result<Response>)> {
    let (parts, body) = response.into_parts();
    let bytes = body.into_bytes().await.map_err(|error| Problem::internal(&error))?;
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned);
    let keeps = bytes.len() <= MAX_ANSWER_BYTES && !parts.headers.contains_key(header::SET_COOKIE);
    let answer = String::from_utf8(bytes.to_vec()).ok().filter(|_| keeps).map(|body| Answer {
        content_type: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        body,
    });
    Ok((answer, Ok(Response::from_parts(parts, Body::from(bytes)))))
}

fn is_server_error(answer: std::result::Result<&Response, &poem::Error>) -> bool {
    match answer {
        Ok(response) => response.status().is_server_error(),
        Err(error) if error.is_from_response() => error.status().is_server_error(),
        Err(error) => from_framework(error).into_response().status().is_server_error(),
    }
}

fn reused() -> Problem {
    let message = "was used for another request of this operation in the last 24 hours; take a new one";
    Problem::invalid("Idempotency-Key", message).with_code("idempotency_key_reused")
}

fn under_way(minute_old: bool) -> Problem {
    if minute_old {
        let detail = "A request with this Idempotency-Key was started and its result is not known. \
                      Check whether it took effect; if not, send it with a new key.";
        return Problem::conflict("idempotency_outcome_unknown", detail);
    }
    let detail = "A request with this Idempotency-Key is under way; ask again shortly.";
    Problem::conflict("idempotency_key_in_use", detail).retry_after(1)
}
