//! A JSON request body: bounded, and explained in full when it does not fit.

use std::{
    net::IpAddr,
    ops::Range,
    sync::{Arc, LazyLock},
};

use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry},
    types::ParseFromJSON,
};
use serde_json::Value;

use super::{doubled, explain::explain, gate, problem::Problem, security};
use crate::base::{
    network,
    shares::{Full, Place, Shares},
    weight,
};

/// Bytes of a body unless the endpoint says otherwise.
pub const MAX_BODY_BYTES: usize = 1024 * KIB;
const KIB: usize = 1024;
/// Of a body that is read where requests are answered; a larger one has to have a place, and is
/// read on a thread apart.
const LIGHT: usize = 256 * KIB;
/// Large bodies at once in a process, and of one client's address or site.
const LARGE_AT_ONCE: usize = 8;
const LARGE_EACH: usize = 2;
/// Bytes of memory for each byte that a body may have, but of the largest: small values hold
/// up to a hundred times of what they say.
const WEIGHT: usize = 16;
const MOST_WEIGHT: usize = 64 * 1024 * KIB;

/// Levels of arrays and objects within a body.
const MAX_DEPTH: usize = 32;
/// Values of a body, all levels together, for each MiB that it may have.
const MAX_VALUES: usize = 100_000;

/// The body of a request as a `T`, in at most [`MAX_BODY_BYTES`].
pub type Body<T> = JsonBody<T, 1024>;
/// The same for many items at once.
pub type LargeBody<T> = JsonBody<T, 16_384>;
/// The same for who has not said who they are.
pub type SmallBody<T> = JsonBody<T, 16>;

/// A JSON body of at most so many KiB. `T` must be an `Object` with `deny_unknown_fields`.
#[derive(Debug)]
pub struct JsonBody<T, const MOST_KIB: usize>(pub T);

impl<'a, T: ParseFromJSON + 'static, const MOST_KIB: usize> ApiExtractor<'a> for JsonBody<T, MOST_KIB> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema: MetaSchemaRef = T::schema_ref();
        Some(MetaRequest {
            description: Some(match MOST_KIB {
                16 => "At most 16 KiB of JSON, nested at most 32 deep; fields that are not named here are refused.",
                1024 => "At most 1 MiB of JSON, nested at most 32 deep; fields that are not named here are refused.",
                _ => "At most 16 MiB of JSON, nested at most 32 deep; fields that are not named here are refused.",
            }),
            content: vec![MetaMediaType { content_type: "application/json", schema }],
            required: T::IS_REQUIRED,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if !request.content_type().is_some_and(Json::<T>::check_content_type) {
            return Err(unsupported().into());
        }
        let place = large_place::<MOST_KIB>(request)?;
        let bytes = read(request, body, MOST_KIB * KIB).await?;
        let work = move || parse(&bytes, MOST_KIB);
        let parsed = if place.is_some() {
            tokio::task::spawn_blocking(work).await.map_err(|error| Problem::internal(&error))?
        } else {
            work()
        };
        Ok(Self(parsed?))
    }
}

/// As [`Body`], for an operation whose fields may all be left out: then the body may be
/// as well.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

impl<'a, T: ParseFromJSON + Default + 'static> ApiExtractor<'a> for OptionalBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Body::<T>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Body::<T>::request_meta().map(|meta| MetaRequest { required: false, ..meta })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if request.content_type().is_some() {
            return Body::from_request(request, body, options).await.map(|body| Self(body.0));
        }
        if read(request, body, MAX_BODY_BYTES).await?.is_empty() {
            Ok(Self(T::default()))
        } else {
            Err(unsupported().into())
        }
    }
}

/// The places of large bodies, which are held from before they are read until they are values.
static LARGE: LazyLock<Arc<Shares<IpAddr>>> = LazyLock::new(|| Shares::new(LARGE_AT_ONCE, LARGE_EACH));

/// A place for a body that may be large, where one is needed.
fn large_place<const MOST_KIB: usize>(request: &Request) -> Result<Option<Place<IpAddr>>, Problem> {
    let announced = announced(request).unwrap_or(usize::MAX);
    if MOST_KIB * KIB <= MAX_BODY_BYTES || announced <= LIGHT {
        return Ok(None);
    }
    let client = gate::client(request, &security::state(request)?.trusted_proxies);
    LARGE.take(client.map(network::site)).map(Some).map_err(|full| {
        let whose = if full == Full::Share { "from your address" } else { "here" };
        let detail = format!("Too many large bodies are being sent {whose} at this moment; try again shortly.");
        Problem::too_many_requests("large_bodies", detail, 1)
    })
}

fn announced(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn unsupported() -> Problem {
    Problem::new(
        poem::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "Send the body as JSON, with the header Content-Type: application/json.",
    )
}

/// The raw body, in at most `max` bytes.
///
/// # Errors
/// 413 when it is larger, before it is read where its length is announced.
pub async fn read(request: &Request, body: &mut RequestBody, max: usize) -> Result<Vec<u8>, Problem> {
    let too_large =
        || Problem::too_large(format!("The body is larger than {max} bytes, the most that is accepted here."));
    if announced(request).is_some_and(|length| length > max) {
        return Err(too_large());
    }
    let body = body.take().map_err(|error| Problem::internal(&error))?;
    match body.into_bytes_limit(max).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(poem::error::ReadBodyError::PayloadTooLarge) => Err(too_large()),
        Err(poem::error::ReadBodyError::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
            let detail = "The body did not arrive within 30 s; send it faster, or in smaller requests.";
            Err(Problem::new(poem::http::StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail))
        }
        Err(error) => Err(Problem::invalid("", format!("the body could not be read: {error}"))),
    }
}

/// Refuses what is too deep or has too many values, and texts that Postgres does not keep.
fn bounds(value: &Value, max_values: usize) -> Result<(), Problem> {
    let mut left = 0..max_values;
    walk(value, 0, &mut left).map_err(|(path, message)| Problem::invalid(path.trim_start_matches('.'), message))
}

/// The path is put together from the inside, once something is wrong.
fn walk(value: &Value, depth: usize, left: &mut Range<usize>) -> Result<(), (String, String)> {
    const NUL: &str = "must not contain NUL characters";
    if left.next().is_none() {
        return Err((String::new(), format!("has more than {} values; send fewer in one request", left.end)));
    }
    if depth > MAX_DEPTH {
        return Err((String::new(), format!("is nested more than {MAX_DEPTH} deep; flatten it")));
    }
    match value {
        Value::String(text) if text.contains('\0') => Err((String::new(), NUL.to_owned())),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            walk(item, depth + 1, left).map_err(|(path, message)| (format!("[{index}]{path}"), message))
        }),
        Value::Object(map) => map.iter().try_for_each(|(name, item)| {
            if name.contains('\0') {
                return Err((String::new(), format!("a name {NUL}")));
            }
            walk(item, depth + 1, left).map_err(|(path, message)| (format!(".{name}{path}"), message))
        }),
        _ => Ok(()),
    }
}

/// `most_kib` is what the body may have, by which its values are bounded.
fn parse<T: ParseFromJSON>(bytes: &[u8], most_kib: usize) -> Result<T, Problem> {
    // Before there is a value: one that is all braces would take a hundred times of its bytes.
    if weight::of_json(bytes) > (most_kib * KIB * WEIGHT).min(MOST_WEIGHT) {
        return Err(Problem::invalid("", "has too many values; send fewer in one request, or longer ones"));
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::invalid("", format!("the body is not JSON: {error}")).with_code("invalid_json"))?;
    bounds(&value, MAX_VALUES * most_kib / 1024)?;
    if let Some(path) = doubled::name(bytes) {
        return Err(Problem::invalid(path, "is given twice; keep one"));
    }
    T::parse_from_json(Some(value)).map_err(|error| {
        // The parser stops at the first problem and does not say where; look again for all of them.
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let errors = explain::<T>(&value);
        if errors.is_empty() { Problem::invalid("", error.into_message()) } else { Problem::validation(errors) }
    })
}
