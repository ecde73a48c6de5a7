//! What is to be crawled, and how: the settings, parsed.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    catalog::components,
    components::{
        ComponentError, Context,
        settings::{Settings, parse_url, wrong},
    },
    egress::{self, Url, header::HeaderValue},
};

/// The config, parsed.
#[derive(Debug)]
pub struct Plan {
    pub url: Url,
    pub max_pages: usize,
    pub max_depth: u64,
    pub respect_robots: bool,
    /// Of each page.
    pub timeout: Duration,
    pub user_agent: HeaderValue,
    pub rate_limit_delay: Duration,
    pub max_parallel: usize,
}

impl Plan {
    pub fn read(context: &Context<'_>, config: &Map<String, Value>) -> Result<Self, ComponentError> {
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
pub fn start_url(context: &Context<'_>, settings: &Settings<'_>) -> Result<Url, ComponentError> {
    if settings.value("url").is_some() {
        return settings.url("url");
    }
    match context.inputs.get("website_url") {
        Some(Value::String(text)) => parse_url("url", text),
        _ => Err(wrong("url", "is missing, and the recipe has no input website_url to take its place")),
    }
}

/// `config.user_agent`, else our own name.
pub fn user_agent(settings: &Settings<'_>) -> Result<HeaderValue, ComponentError> {
    let text = settings.text("user_agent")?.filter(|text| !text.trim().is_empty());
    let Some(text) = text else { return Ok(HeaderValue::from_static(egress::USER_AGENT)) };
    HeaderValue::from_str(text.trim()).map_err(|_| wrong("user_agent", "has characters that a header cannot carry"))
}
