//! `WebCrawler`: walks one site breadth-first and reports its pages and faults.
//!
//! - [`frontier`]: which addresses belong to the site, which were seen, which come next
//! - [`fetch`]: one address to what it holds
//! - [`walk`]: the loop: politeness, parallel fetches, limits
//! - [`report`]: the output

mod fetch;
mod frontier;
mod report;
#[cfg(test)]
mod tests;
mod walk;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{
    CallKind, CallStatus, Component, ComponentError, Context, outgoing,
    settings::{Settings, parse_url, wrong},
};
use crate::{
    base::weight,
    catalog::components::{self, ComponentSpec},
    egress::{self, Url, header::HeaderValue},
};

/// Of all bodies together; they are not kept.
const MAX_BYTES: usize = 512 * 1024 * 1024;
/// Of what is kept of all pages, for the report.
const MAX_KEPT_BYTES: usize = weight::MOST / 4 * 3;
const MAX_DURATION: Duration = Duration::from_mins(30);

#[derive(Debug)]
pub struct WebCrawler;

#[async_trait]
impl Component for WebCrawler {
    fn spec(&self) -> &'static ComponentSpec {
        &components::WEB_CRAWLER
    }

    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        let plan = Plan::read(context, config)?;
        context.egress.check(&plan.url).map_err(|error| outgoing::explain(&error, true))?;
        let fingerprint = format!("crawl {} {} {}", plan.url, plan.max_pages, plan.max_depth);
        let call_no = context.meter.begin(outgoing::new_call(CallKind::Crawl, fingerprint)).await?;
        let started = Instant::now();
        let outcome = walk::Walk::new(context, &plan).run().await;
        let status = match &outcome {
            Ok(_) => CallStatus::Success,
            Err(error) if error.code == "timeout" => CallStatus::Timeout,
            Err(_) => CallStatus::Failed,
        };
        context.meter.settle(call_no, outgoing::outcome(status, started.elapsed())).await;
        outcome.map(report::Report::into_value)
    }
}

/// The config, parsed.
#[derive(Debug)]
struct Plan {
    url: Url,
    max_pages: usize,
    max_depth: u64,
    respect_robots: bool,
    /// Of each page.
    timeout: Duration,
    user_agent: HeaderValue,
    rate_limit_delay: Duration,
    max_parallel: usize,
}

impl Plan {
    fn read(context: &Context<'_>, config: &Map<String, Value>) -> Result<Self, ComponentError> {
        let settings = Settings::of(&components::WEB_CRAWLER, config)?;
        let count = |key| settings.required(key, Settings::integer).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        Ok(Self {
            url: start_url(context, &settings)?,
            max_pages: count("max_pages")?,
            max_depth: settings.required("max_depth", Settings::integer)?,
            respect_robots: settings.required("respect_robots", Settings::boolean)?,
            timeout: settings.required("timeout", Settings::duration)?,
            user_agent: user_agent(&settings)?,
            rate_limit_delay: settings.required("rate_limit_delay", Settings::duration)?,
            max_parallel: count("max_parallel")?,
        })
    }
}

/// `config.url`, else the recipe's input `website_url`.
pub(super) fn start_url(context: &Context<'_>, settings: &Settings<'_>) -> Result<Url, ComponentError> {
    if settings.value("url").is_some() {
        return settings.url("url");
    }
    match context.inputs.get("website_url") {
        Some(Value::String(text)) => parse_url("url", text),
        _ => Err(wrong("url", "is missing, and the recipe has no input website_url to take its place")),
    }
}

/// `config.user_agent`, else our own name.
pub(super) fn user_agent(settings: &Settings<'_>) -> Result<HeaderValue, ComponentError> {
    let text = settings.text("user_agent")?.filter(|text| !text.trim().is_empty());
    let Some(text) = text else { return Ok(HeaderValue::from_static(egress::USER_AGENT)) };
    HeaderValue::from_str(text.trim()).map_err(|_| wrong("user_agent", "has characters that a header cannot carry"))
}
