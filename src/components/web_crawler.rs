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
    CallKind, CallStatus, Component, ComponentError, Context, DEFAULT_MAX_PAGES, outgoing,
    settings::{Settings, parse_url, wrong},
};
use crate::base::weight;
use crate::egress::{self, Url, header::HeaderValue};

const KEYS: [&str; 8] =
    ["url", "max_pages", "max_depth", "respect_robots", "timeout", "user_agent", "rate_limit_delay", "max_parallel"];
/// Of all bodies together; they are not kept.
const MAX_BYTES: usize = 512 * 1024 * 1024;
/// Of what is kept of all pages, for the report.
const MAX_KEPT_BYTES: usize = weight::MOST / 4 * 3;
const MAX_DURATION: Duration = Duration::from_mins(30);

#[derive(Debug)]
pub struct WebCrawler;

#[async_trait]
impl Component for WebCrawler {
    fn name(&self) -> &'static str {
        "WebCrawler"
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
        let settings = Settings::new("WebCrawler", config, &KEYS)?;
        let second = Duration::from_secs(1);
        let integer = |key, range, default: u64| settings.integer(key, range).map(|given| given.unwrap_or(default));
        Ok(Self {
            url: start_url(context, &settings)?,
            max_pages: usize::try_from(integer("max_pages", 1..=10_000, DEFAULT_MAX_PAGES)?).unwrap_or(usize::MAX),
            max_depth: integer("max_depth", 0..=100, 3)?,
            respect_robots: settings.boolean("respect_robots")?.unwrap_or(true),
            timeout: settings.duration("timeout", second / 10..=second * 60)?.unwrap_or(second * 10),
            user_agent: user_agent(&settings)?,
            rate_limit_delay: settings.duration("rate_limit_delay", Duration::ZERO..=second * 60)?.unwrap_or_default(),
            max_parallel: usize::try_from(integer("max_parallel", 1..=32, 8)?).unwrap_or(1),
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
