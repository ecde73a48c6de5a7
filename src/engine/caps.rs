//! A cookbook's caps, which hold whatever a recipe says.

use serde_json::{Map, Value};

use crate::catalog::{
    components::{self, ComponentSpec, Kind, Setting, value},
    model::SubscriptionLimits,
};

/// Lowers what a component's config asks for to what the cookbook gives.
pub fn clamp(limits: &SubscriptionLimits, spec: &ComponentSpec, config: &mut Map<String, Value>) {
    for (setting, cap) in caps(limits, spec) {
        clamp_setting(setting, cap, config);
    }
    // An agent's tools are no way around it.
    let tools = config.get_mut("tools").filter(|_| spec.has_tools()).and_then(Value::as_array_mut);
    for tool in tools.into_iter().flatten().filter_map(Value::as_object_mut) {
        let named = tool.get("component").and_then(Value::as_str).and_then(components::find);
        let Some(spec) = named.filter(|spec| caps(limits, spec).next().is_some()) else { continue };
        let config = tool.entry("config").or_insert_with(|| Map::new().into());
        if config.is_null() {
            *config = Map::new().into();
        }
        config.as_object_mut().into_iter().for_each(|config| clamp(limits, spec, config));
    }
}

/// The settings of the component that the cookbook limits.
fn caps(limits: &SubscriptionLimits, spec: &ComponentSpec) -> impl Iterator<Item = (&'static Setting, u64)> {
    spec.settings().filter_map(|setting| Some((setting, u64::from(setting.cap?(limits)?))))
}

/// Reads what is asked for as the component will: blank text is nothing, and `"200"` and
/// `200.0` are 200.
fn clamp_setting(setting: &Setting, cap: u64, config: &mut Map<String, Value>) {
    let Kind::Integer { default, .. } = setting.kind else { return };
    let given = config.get(setting.key).filter(|value| !value.is_null());
    let asked = match given.filter(|value| value.as_str().is_none_or(|text| !text.trim().is_empty())) {
        None => default,
        // What is no number is the component's to refuse.
        Some(value) => value::integer(value, &(0..=u64::MAX)).ok(),
    };
    if asked.is_some_and(|asked| asked > cap) {
        config.insert(setting.key.to_owned(), cap.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn clamped(component: &str, config: Value) -> Value {
        let limits = SubscriptionLimits { max_pages_per_crawl: Some(20), ..SubscriptionLimits::default() };
        let Value::Object(mut config) = config else { panic!("a config is a mapping") };
        clamp(&limits, components::find(component).unwrap(), &mut config);
        config.into()
    }

    #[test]
    fn however_more_is_asked_for_the_cap_holds() {
        for asked in [json!(21), json!("21"), json!(" 500 "), json!(200.0), json!(20_000), json!(null), json!("  ")] {
            assert_eq!(clamped("WebCrawler", json!({"max_pages": asked}))["max_pages"], 20, "{asked}");
        }
        assert_eq!(clamped("WebCrawler", json!({})), json!({"max_pages": 20}));
    }

    #[test]
    fn what_is_within_the_cap_or_of_another_component_is_left_alone() {
        for config in [json!({"max_pages": 20}), json!({"max_pages": "3"}), json!({"max_pages": "many"})] {
            assert_eq!(clamped("WebCrawler", config.clone()), config);
        }
        assert_eq!(clamped("Transform", json!({"max_pages": 100})), json!({"max_pages": 100}));
    }

    #[test]
    fn an_agents_tools_are_no_way_around_the_cap() {
        let config = json!({"tools": [{"component": "WebCrawler"}, {"component": "WebCrawler", "config": null},
            {"component": "WebCrawler", "config": {"max_pages": 50, "max_depth": 1}}, {"component": "HttpRequest"}]});
        let tools = json!([{"component": "WebCrawler", "config": {"max_pages": 20}},
            {"component": "WebCrawler", "config": {"max_pages": 20}},
            {"component": "WebCrawler", "config": {"max_pages": 20, "max_depth": 1}}, {"component": "HttpRequest"}]);
        assert_eq!(clamped("Agent", config)["tools"], tools);
    }
}
