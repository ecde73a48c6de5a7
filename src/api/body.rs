//! A JSON request body: bounded, and explained in full when it does not fit.

use poem::{Request, RequestBody, http::header};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry},
    types::ParseFromJSON,
};
use serde_json::Value;

use super::{explain::explain, problem::Problem};

/// Bytes of a body unless the endpoint says otherwise.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// The body of a request as a `T`, in at most `MAX` bytes. `T` must be an
/// `Object` with `deny_unknown_fields`.
#[derive(Debug)]
pub struct Body<T, const MAX: usize = MAX_BODY_BYTES>(pub T);

impl<'a, T: ParseFromJSON, const MAX: usize> ApiExtractor<'a> for Body<T, MAX> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let schema: MetaSchemaRef = T::schema_ref();
        Some(MetaRequest {
            description: None,
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
            return Err(Problem::new(
                poem::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the body as JSON, with the header Content-Type: application/json.",
            )
            .into());
        }
        let bytes = read(request, body, MAX).await?;
        Ok(Self(parse(&bytes)?))
    }
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
        Err(error) => Err(Problem::invalid("", format!("the body could not be read: {error}"))),
    }
}

fn parse<T: ParseFromJSON>(bytes: &[u8]) -> Result<T, Problem> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::invalid("", format!("the body is not JSON: {error}")).with_code("invalid_json"))?;
    T::parse_from_json(Some(value)).map_err(|error| {
        // The parser stops at the first problem and does not say where; look again for all of them.
        let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let errors = explain::<T>(&value);
        if errors.is_empty() { Problem::invalid("", error.into_message()) } else { Problem::validation(errors) }
    })
}
