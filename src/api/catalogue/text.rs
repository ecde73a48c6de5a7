//! A recipe as the body of a request, in YAML or JSON.

use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};

use crate::api::http::{body, problem::Problem};

/// As large as the format allows a document to be.
const MAX_BYTES: usize = 256 * 1024;
const TYPES: [&str; 4] = ["application/yaml", "application/x-yaml", "text/yaml", "application/json"];

/// The document's text. YAML is a superset of JSON, so that one reader serves both.
#[derive(Debug)]
pub struct RecipeText(pub String);

impl<'a> ApiExtractor<'a> for RecipeText {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(_: &mut Registry) {}

    fn request_meta() -> Option<MetaRequest> {
        let content = |content_type| MetaMediaType { content_type, schema: String::schema_ref() };
        Some(MetaRequest {
            description: Some(
                "A recipe in YAML or JSON: at most 256 KiB, 24 levels, 20,000 values, 200 nodes, 1,000 edges, 100 inputs, a \
                 text of 64 KiB. Its JSON Schema is at /schemas/recipe.json.",
            ),
            content: vec![content("application/yaml"), content("application/json")],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let content_type = request.content_type().unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !TYPES.contains(&essence.as_str()) {
            return Err(Problem::new(
                poem::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the recipe as YAML or JSON, with the header Content-Type: application/yaml or application/json.",
            )
            .into());
        }
        let bytes = body::read(request, body, MAX_BYTES).await?;
        let text = String::from_utf8(bytes).map_err(|_| Problem::invalid("", "the recipe is not UTF-8"))?;
        Ok(Self(text))
    }
}
