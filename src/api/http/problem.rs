//! RFC 9457 problem details: the one form of every error that the API gives.

use poem::{
    IntoResponse, Response,
    error::ResponseError,
    http::{HeaderValue, StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type,
};

use crate::tasks::reader::ReadError;

/// `Result` of every handler.
pub type Result<T> = std::result::Result<T, Problem>;

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Object)]
pub struct FieldError {
    /// Where: `inputs.url`, `tasks[3].recipe`, `limit`. Empty for the body as a whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl FieldError {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// An error as the client sees it. Never holds SQL, a stack trace or a secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status} {code}: {detail}")]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_seconds: Option<u64>,
}

/// The body of a problem, as documented and as sent.
#[derive(Debug, serde::Serialize, Object)]
#[oai(rename = "Problem")]
struct Document {
    /// Always `about:blank`: `code` tells errors apart.
    r#type: String,
    /// The status in words.
    title: String,
    status: u16,
    /// For a person: what is wrong and what to do.
    detail: String,
    /// Stable and machine-readable.
    code: String,
    /// Each thing that is wrong with the request; empty unless the status is 422.
    errors: Vec<FieldError>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after_seconds: None }
    }

    /// No such object, or one that the caller may not know of: the same for both.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "This object does not exist, or you may not see it.")
    }

    /// A field of the request names an object that is not there, or not the caller's to know of.
    #[must_use]
    pub fn no_such(field: &str, what: &str) -> Self {
        let detail = format!("{field}: this {what} does not exist, or you may not see it.");
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
    }

    pub fn payment_required(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYMENT_REQUIRED, code, detail)
    }

    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// The request's content is wrong; names each place.
    #[must_use]
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] if one.path.is_empty() => one.message.clone(),
            [one] => format!("{}: {}", one.path, one.message),
            many => format!("{} problems with the request; see errors", many.len()),
        };
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", detail) }
    }

    /// One place is wrong.
    pub fn invalid(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::validation(vec![FieldError::new(path, message)])
    }

    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    pub fn too_many_requests(code: &'static str, detail: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).retry_after(retry_after_seconds)
    }

    /// The same request may succeed a little later.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(1)
    }

    /// Something broke on our side. Logs the cause, which the client never sees.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on the server; give its operator the x-request-id of this response.",
        )
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds.max(1));
        self
    }

    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }
}

/// As the triggers are called that bound how many of each an agency can have.
const TOO_MANY: [&str; 10] = [
    "too_many_agents",
    "too_many_api_keys",
    "too_many_cookbooks",
    "too_many_invites",
    "too_many_people",
    "too_many_recipes",
    "too_many_schedules",
    "too_many_secrets",
    "too_many_teams",
    "too_many_webhooks",
];

/// One more than an agency can have: 409. The database's own words are for people here.
fn too_many(error: &sqlx::Error) -> Option<Problem> {
    let constraint = crate::db::violated_constraint(error)?;
    let code = TOO_MANY.into_iter().find(|code| *code == constraint)?;
    Some(Problem::conflict(code, error.as_database_error()?.message()))
}

/// A database that is away is 503, and a full number 409; anything else from it is our fault.
impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Busy => Self::unavailable("large_reads", "Others read large outputs at this moment; try again."),
            ReadError::Database(error) => error.into(),
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        if let Some(problem) = too_many(&error) {
            return problem;
        }
        if crate::db::is_unavailable(&error) {
            tracing::warn!(%error, "the database is unavailable");
            return Self::unavailable("database_unavailable", "The database is unavailable; try again shortly.");
        }
        Self::internal(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.as_response()
    }
}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        let document = Document {
            r#type: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.to_owned(),
            errors: self.errors.clone(),
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::builder().status(self.status).content_type("application/problem+json").body(body);
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The statuses that any operation can answer with, for the OpenAPI document.
const DOCUMENTED: [(u16, &str, Option<&str>); 15] = [
    (401, "Not signed in, or the token is no longer valid.", Some("WWW-AUTHENTICATE")),
    (402, "Seats or budget exhausted.", None),
    (403, "The role is too low, or the API key does not have the scope.", None),
    (404, "The object does not exist, or you may not see it.", None),
    (405, "The address does not support this method; Allow lists those that it does.", Some("ALLOW")),
    (408, "The body did not arrive within 30 s.", None),
    (409, "In conflict with the present state.", None),
    (413, "The body is too large.", None),
    (414, "Path and query have more than 8 KiB.", None),
    (415, "The body is not of a supported media type.", None),
    (422, "The request's content is invalid; `errors` names each place.", None),
    (429, "Too many requests or tries; wait as long as Retry-After says.", Some("RETRY-AFTER")),
    (431, "The headers have more than 32 KiB.", None),
    (500, "The server failed.", None),
    (503, "Temporarily unavailable; try again after Retry-After.", Some("RETRY-AFTER")),
];

impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let header = |name: &str| MetaHeader {
            name: name.to_owned(),
            description: None,
            required: true,
            deprecated: false,
            schema: String::schema_ref(),
        };
        let responses = DOCUMENTED.iter().map(|(status, description, extra)| MetaResponse {
            description,
            status: Some(*status),
            status_range: None,
            content: vec![MetaMediaType { content_type: "application/problem+json", schema: Document::schema_ref() }],
            headers: extra.iter().map(|name| header(name)).collect(),
        });
        MetaResponses { responses: responses.collect() }
    }

    fn register(registry: &mut Registry) {
        Document::register(registry);
    }
}
