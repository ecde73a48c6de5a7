//! `WebsiteConnector`: one page, with its text as Markdown.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Component, ComponentError, Context, outgoing,
    settings::Settings,
    web::{
        charset,
        page::{self, Page},
    },
    web_crawler::{start_url, user_agent},
};
use crate::{
    catalog::components::{self, ComponentSpec},
    egress::{self, Request, header},
};

#[derive(Debug)]
pub struct WebsiteConnector;

#[derive(Serialize)]
struct Output {
    url: String,
    status_code: u16,
    #[serde(flatten)]
    page: Page,
    depth: u64,
    elapsed_ms: u64,
    content_type: String,
    markdown: String,
}

#[async_trait]
impl Component for WebsiteConnector {
    fn spec(&self) -> &'static ComponentSpec {
        &components::WEBSITE_CONNECTOR
    }

    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        let settings = Settings::of(&components::WEBSITE_CONNECTOR, config)?;
        let url = start_url(context, &settings)?;
        let shown = egress::shown(&url);
        let mut request = Request::get(url).header(header::USER_AGENT, user_agent(&settings)?);
        request.limits.total = settings.required("timeout", Settings::duration)?;

        let response = outgoing::send(context, format!("GET {}", request.url), request).await?;
        if response.status.as_u16() >= 400 {
            return Err(outgoing::http_status("url", &shown, &response));
        }
        let content_type = response.header(&header::CONTENT_TYPE).unwrap_or("text/html").to_owned();
        let media = charset::media_type(&content_type);
        if !matches!(media.as_str(), "text/html" | "application/xhtml+xml") {
            let message = format!("config.url {shown} is {media}, not an HTML page; read it with DataFetcher");
            return Err(ComponentError::new("not_html", message).field("config.url"));
        }
        let (status, elapsed, url) = (response.status, response.elapsed, response.final_url.clone());
        let header = content_type.clone();
        let read = move || page::read(&charset::decode(&response.body, Some(&header)), &response.final_url, true);
        let internal = |error: String| ComponentError::new("internal", error);
        let mut page = tokio::task::spawn_blocking(read).await.map_err(|error| internal(error.to_string()))?;
        let output = Output {
            url: url.into(),
            status_code: status.as_u16(),
            markdown: std::mem::take(&mut page.markdown),
            page,
            depth: 0,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            content_type,
        };
        serde_json::to_value(output).map_err(|error| internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use poem::{Response, Route, endpoint::make_sync, http::StatusCode};
    use serde_json::json;

    use super::*;
    use crate::components::{
        CallKind, CallStatus, Retry,
        testing::{World, serve},
    };

    async fn site() -> String {
        let page = |status: u16, kind: &'static str, body: &'static str| {
            make_sync(move |_| {
                Response::builder().status(StatusCode::from_u16(status).unwrap()).content_type(kind).body(body)
            })
        };
        let app = Route::new()
            .at(
                "/",
                page(
                    200,
                    "text/html; charset=iso-8859-1",
                    "<title>T</title><h1>{{ 7*7 }}</h1><p>One <a href=x>two</a>",
                ),
            )
            .at("/moved", make_sync(|_| Response::builder().status(StatusCode::FOUND).header("location", "/").finish()))
            .at("/error", page(500, "text/html", "<h1>Oops</h1>"))
            .at("/json", page(200, "application/json", "{}"));
        serve(app).await
    }

    #[tokio::test]
    async fn reads_one_page() {
        let address = site().await;
        let mut world = World::allowing(&[&address]);
        world.inputs.insert("website_url".into(), json!(format!("http://{address}/moved")));
        let output = world.run(&WebsiteConnector, json!({})).await.unwrap();
        assert_eq!(output["url"], format!("http://{address}/"));
        assert_eq!((output["title"].as_str(), output["status_code"].as_u64()), (Some("T"), Some(200)));
        assert_eq!(output["markdown"], format!("# {{{{ 7\\*7 }}}}\n\nOne [two](http://{address}/x)"));
        assert_eq!(output["word_count"], 5);
        let calls = world.calls();
        assert_eq!((calls.len(), calls[0].0.kind, calls[0].1.status), (1, CallKind::Http, CallStatus::Success));
    }

    #[tokio::test]
    async fn errors_name_the_url_and_the_status() {
        let address = site().await;
        let world = World::allowing(&[&address]);
        let error = world.run(&WebsiteConnector, json!({"url": format!("http://{address}/error")})).await.unwrap_err();
        assert_eq!((error.code, error.field.as_deref()), ("http_status", Some("config.url")));
        assert!(
            error.message.contains("/error answered HTTP 500 Internal Server Error with a body of type text/html"),
            "{error}"
        );
        assert_eq!(error.retry, Retry::May { after: None });
        let error = world.run(&WebsiteConnector, json!({"url": format!("http://{address}/json")})).await.unwrap_err();
        assert_eq!(error.code, "not_html");
        let error = world.run(&WebsiteConnector, json!({"url": "http://127.0.0.1/"})).await.unwrap_err();
        assert_eq!(error.code, "address_refused");
        let error = world.run(&WebsiteConnector, json!({"url": "x"})).await.unwrap_err();
        assert_eq!(error.code, "invalid_config");
    }
}
