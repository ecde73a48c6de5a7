//! One address: asked, decoded, read.

use std::time::Duration;

use super::{frontier::Item, plan::Plan};
use crate::{
    components::web::{
        charset,
        page::{self, Page},
    },
    egress::{self, Client, Request, StatusCode, Url, header},
};

/// Above this a page is read off the async threads.
const LARGE: usize = 64 * 1024;

/// What an address turned out to be.
pub enum Found {
    Page {
        status: StatusCode,
        content_type: String,
        elapsed: Duration,
        bytes: usize,
        page: Box<Page>,
    },
    Redirect {
        status: StatusCode,
        to: Url,
    },
    /// Not HTML; not read.
    Other {
        status: StatusCode,
        content_type: String,
    },
    /// Status 400 or above.
    Broken {
        status: StatusCode,
        content_type: Option<String>,
        retry_after: Option<Duration>,
    },
    Failed(egress::Error),
}

pub async fn fetch(
    client: &Client,
    plan: &Plan,
    item: Item,
    cancel: &tokio_util::sync::CancellationToken,
) -> (Item, Found) {
    let mut request = Request::get(item.url.clone())
        .header(header::USER_AGENT, plan.user_agent.clone())
        .header(header::ACCEPT, header::HeaderValue::from_static("text/html,application/xhtml+xml;q=0.9,*/*;q=0.5"));
    request.limits.total = plan.timeout;
    request.limits.redirects = 0;
    request.wanted = |status, headers| status.is_success() && is_html(headers);
    let found = match client.send(request, cancel).await {
        Ok(response) => read(response, &item.url).await,
        Err(error) => Found::Failed(error),
    };
    (item, found)
}

async fn read(response: egress::Response, url: &Url) -> Found {
    let status = response.status;
    if let Some(to) = response.location() {
        return Found::Redirect { status, to };
    }
    let content_type = response.header(&header::CONTENT_TYPE).map(str::to_owned);
    if status.as_u16() >= 400 {
        return Found::Broken { status, content_type, retry_after: response.retry_after() };
    }
    if !status.is_success() || !is_html(&response.headers) {
        let content_type = content_type.as_deref().map(charset::media_type).unwrap_or_default();
        return Found::Other { status, content_type };
    }
    let (bytes, elapsed, base) = (response.body.len(), response.elapsed, url.clone());
    let header = content_type.clone();
    let parse = move || page::read(&charset::decode(&response.body, header.as_deref()), &base, false);
    let page = if bytes > LARGE { tokio::task::spawn_blocking(parse).await.unwrap_or_default() } else { parse() };
    let content_type = content_type.unwrap_or_else(|| "text/html".to_owned());
    Found::Page { status, content_type, elapsed, bytes, page: Box::new(page) }
}

/// A page without a content type is taken for HTML, as browsers would find out.
fn is_html(headers: &header::HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type
        .is_none_or(|value| matches!(charset::media_type(value).as_str(), "text/html" | "application/xhtml+xml" | ""))
}
