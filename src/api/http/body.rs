//! A JSON request body: bounded, and explained in full when it does not fit.

use std::ops::Range;

use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry},
    types::ParseFromJSON,
};
use serde_json::Value;

use super::{doubled, explain::explain, problem::Problem};

/// Bytes of a body unless the endpoint says otherwise.
pub const MAX_BODY_BYTES: usize = MIB;
const MIB: usize = 1 << 20;

/// Levels of arrays and objects within a body.
const MAX_DEPTH: usize = 32;
/// Values of a body, all levels together, for each MiB that it may have.
const MAX_VALUES: usize = 100_000;

/// The body of a request as a `T`, in at most [`MAX_BODY_BYTES`].
pub type Body<T> = JsonBody<T, 1>;
/// The same for many items at once.
pub type LargeBody<T> = JsonBody<T, 16>;

/// A JSON body of at most so many MiB. `T` must be an `Object` with `deny_unknown_fields`.
#[derive(Debug)]
pub struct JsonBody<T, const MOST_MIB: usize>(pub T);

impl<'a, T: ParseFromJSON, const MOST_MIB: usize> ApiExtractor<'a> for JsonBody<T, MOST_MIB> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema: MetaSchemaRef = T::schema_ref();
        Some(MetaRequest {
            description: Some(if MOST_MIB == 1 {
                "At most 1 MiB of JSON, nested at most 32 deep; fields that are not named here are refused."
            } else {
                "At most 16 MiB of JSON, nested at most 32 deep; fields that are not named here are refused."
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
        let bytes = read(request, body, MOST_MIB * MIB).await?;
        Ok(Self(parse(&bytes, MAX_VALUES * MOST_MIB)?))
    }
}

/// As [`Body`], for an operation whose fields may all be left out: then the body may be
/// as well.
#[derive(Debug)]
pub struct OptionalBody<T>(pub T);

impl<'a, T: ParseFromJSON + Default> ApiExtractor<'a> for OptionalBody<T> {
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
    let too_large = || Problem::too_large(format!("The body is larger than {max} bytes, the most taken here."));
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(too_large());
    }
    let body = body.take().map_err(|error| Problem::internal(&error))?;
    match body.into_bytes_limit(max).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(poem::error::ReadBodyError::PayloadTooLarge) => Err(too_large()),
        Err(poem::error::ReadBodyError::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
            let detail = "The body did not come within 30 s; send it faster, or in smaller requests.";
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

fn parse<T: ParseFromJSON>(bytes: &[u8], max_values: usize) -> Result<T, Problem> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::invalid("", format!("the body is not JSON: {error}")).with_code("invalid_json"))?;
    bounds(&value, max_values)?;
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
