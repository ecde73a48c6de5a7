//! `DataFetcher`: reads JSON or text from an address; anything else is an error.

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::{
    Component, ComponentError, Context,
    http_request::{Content, content, exchange},
    outgoing,
    settings::Settings,
    web::charset,
};
use crate::{
    catalog::components::{self, ComponentSpec},
    egress::{self, Request, header},
};

#[derive(Debug)]
pub struct DataFetcher;

#[async_trait]
impl Component for DataFetcher {
    fn spec(&self) -> &'static ComponentSpec {
        &components::DATA_FETCHER
    }

    /// The answer is `data`, and `json` or `text` by its kind.
    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        let settings = Settings::of(&components::DATA_FETCHER, config)?;
        let accept = header::HeaderValue::from_static("application/json, text/*;q=0.9, */*;q=0.5");
        let request = Request::get(settings.url("url")?).header(header::ACCEPT, accept);
        let shown = egress::shown(&request.url);
        let response = exchange(context, &settings, request).await?;
        if response.status.as_u16() >= 400 {
            return Err(outgoing::http_status("url", &shown, &response));
        }
        let media = response.header(&header::CONTENT_TYPE).map(charset::media_type).unwrap_or_default();
        let (kind, data) = match content(&response) {
            Content::Json(value) => ("json", value),
            Content::Text(_) if media == "application/json" => {
                let message =
                    format!("config.url {shown} says that it is JSON, and it cannot be parsed; check the address");
                return Err(ComponentError::new("broken_answer", message).field("config.url"));
            }
            Content::Text(text) => ("text", Value::String(text)),
            Content::Binary { .. } => {
                let message = format!("config.url {shown} is {media}; only JSON and text are read");
                return Err(ComponentError::new("content_type", message).field("config.url"));
            }
        };
        Ok(json!({ kind: data, "data": data, "status_code": response.status.as_u16(), "content_type": media }))
    }
}
