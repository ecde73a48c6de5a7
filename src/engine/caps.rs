//! A cookbook's caps, which hold whatever a recipe says.

use serde_json::{Map, Value};

use crate::{catalog::model::SubscriptionLimits, components::DEFAULT_MAX_PAGES};

/// Lowers what a component's config asks for to what the cookbook gives.
pub fn clamp(limits: &SubscriptionLimits, component: &str, config: &mut Map<String, Value>) {
    let Some(cap) = limits.max_pages_per_crawl else { return };
    if component == "WebCrawler" {
        clamp_pages(config, cap);
    }
    // An agent's tools are no way around it.
    let tools = config.get_mut("tools").filter(|_| component == "Agent").and_then(Value::as_array_mut);
    for tool in tools.into_iter().flatten().filter(|tool| tool["component"] == "WebCrawler") {
        if let Some(tool) = tool.as_object_mut() {
            let config = tool.entry("config").or_insert_with(|| Map::new().into());
            if config.is_null() {
                *config = Map::new().into();
            }
            config.as_object_mut().into_iter().for_each(|config| clamp_pages(config, cap));
        }
    }
}

fn clamp_pages(config: &mut Map<String, Value>, cap: u32) {
    let asked = match config.get("max_pages") {
        None | Some(Value::Null) => Some(DEFAULT_MAX_PAGES),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_u64(),
    };
    // What is no number is the component's to refuse.
    if asked.is_some_and(|pages| pages > u64::from(cap)) {
        config.insert("max_pages".to_owned(), cap.into());
    }
}
