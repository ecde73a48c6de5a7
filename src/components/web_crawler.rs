//! `WebCrawler`: walks one site breadth-first and reports its pages and faults.
//!
//! - [`plan`]: the settings, parsed
//! - [`frontier`]: which addresses belong to the site, which were seen, which come next
//! - [`fetch`]: one address to what it holds
//! - [`walk`]: the loop: politeness, parallel fetches, limits
//! - [`report`]: the output

mod fetch;
mod frontier;
mod plan;
mod report;
#[cfg(test)]
mod tests;
mod walk;

use std::time::Instant;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{CallKind, CallOutcome, CallStatus, Component, ComponentError, Context, outgoing};
use crate::catalog::components::{self, ComponentSpec};

pub(super) use plan::{start_url, user_agent};

#[derive(Debug)]
pub struct WebCrawler;

#[async_trait]
impl Component for WebCrawler {
    fn spec(&self) -> &'static ComponentSpec {
        &components::WEB_CRAWLER
    }

    async fn run(&self, context: &Context<'_>, config: &Map<String, Value>) -> Result<Value, ComponentError> {
        let plan = plan::Plan::read(context, config)?;
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
        context.meter.settle(call_no, CallOutcome::without_usage(status, started.elapsed())).await;
        outcome.map(report::Report::into_value)
    }
}
