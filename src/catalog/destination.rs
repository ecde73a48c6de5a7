//! Where a node's secrets may go: to hosts that the recipe's author wrote out, or
//! left to whoever runs the recipe, and nowhere else.
//!
//! A template's values come from inputs, from pages and from answers. If these last
//! could choose the host, a page could have a key sent to itself.

use serde_json::{Map, Value};
use url::Url;

use super::{model::Node, template};

const OPENINGS: [&str; 3] = ["{{", "{%", "{#"];

/// Whether the author of the recipe lets the node's secrets go to this address.
#[must_use]
pub fn permits(node: &Node, url: &Url) -> bool {
    let written = node.config.get("url").and_then(Value::as_str);
    let permitted = written.is_some_and(|text| match fixed(text) {
        Some(written) => written.origin() == url.origin(),
        None => of_inputs(text),
    });
    permitted || node.secret_hosts.iter().any(|host| host.is_of(url))
}

/// Whether a template is made of inputs alone, which whoever runs the recipe gives:
/// no page and no answer has a say in it.
#[must_use]
pub fn of_inputs(text: &str) -> bool {
    let given = |name: &String| matches!(name.split('.').next(), Some("inputs" | "runtime"));
    template::references(text).is_ok_and(|found| found.names.iter().all(given))
}

/// The scheme, host and port of an address whose templates, if any, begin after them.
#[must_use]
pub fn fixed(text: &str) -> Option<Url> {
    let text = text.trim_start();
    let Some(start) = OPENINGS.iter().filter_map(|opening| text.find(opening)).min() else {
        return Url::parse(text).ok();
    };
    let literal = text.get(..start)?;
    let (scheme, rest) = literal.split_once("://")?;
    // Without the sign that ends it, a template would go on with the host.
    let host = rest.get(..rest.find(['/', '?', '#'])?)?;
    Url::parse(&format!("{scheme}://{host}/")).ok()
}

/// Whether no page and no answer chooses the model's provider: the config names it,
/// by itself or within the model's name, or leaves both to inputs or to the agent's
/// configuration.
#[must_use]
pub fn fixes_provider(config: &Map<String, Value>) -> bool {
    let provider = config.get("provider");
    is_given(provider) && (provider.is_some_and(|name| !name.is_null()) || is_given(config.get("model")))
}

fn is_given(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => of_inputs(text),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(url: &str) -> Node {
        serde_json::from_value(json!({"id": "n", "component": "HttpRequest", "config": {"url": url}})).unwrap()
    }

    #[test]
    fn templates_may_follow_the_host() {
        for url in [
            "https://api.example.com",
            " https://api.example.com/v1/{{ inputs.x }}",
            "https://api.example.com?q={{ inputs.x }}",
            "https://api.example.com/{% if a %}b{% endif %}",
        ] {
            let fixed = fixed(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(fixed.origin(), Url::parse("https://api.example.com/").unwrap().origin(), "{url}");
        }
        for url in [
            "{{ inputs.url }}",
            "https://{{ inputs.host }}/",
            "https://api.example.com{{ inputs.path }}",
            "https://api.example.com:{{ inputs.port }}/",
            "{{ inputs.scheme }}://api.example.com/",
            "https://user:{{ inputs.x }}@api.example.com/",
            "https:/{{ x }}",
            "https:///{{ x }}",
            "{# https://api.example.com/ #}{{ x }}",
        ] {
            assert_eq!(fixed(url), None, "{url}");
        }
    }

    #[test]
    fn a_provider_is_fixed_unless_a_page_can_name_it() {
        let fixes = |config: Value| fixes_provider(config.as_object().unwrap());
        for config in [
            json!({}),
            json!({"model": "openai/gpt-4o-mini"}),
            json!({"provider": "openai", "model": "{{ crawl.title }}"}),
            json!({"provider": "{{ inputs.provider }}", "model": "{{ inputs.model }}"}),
        ] {
            assert!(fixes(config.clone()), "{config}");
        }
        for config in [
            json!({"model": "{{ crawl.title }}"}),
            json!({"provider": null, "model": "{{ item }}"}),
            json!({"provider": "{{ inputs.provider ~ crawl.title }}", "model": "gpt-4o-mini"}),
        ] {
            assert!(!fixes(config.clone()), "{config}");
        }
    }

    #[test]
    fn only_the_written_host_is_permitted() {
        let permitted = |node: &Node, url: &str| permits(node, &Url::parse(url).unwrap());
        let api = node("https://api.example.com/{{ inputs.x }}");
        assert!(permitted(&api, "https://api.example.com/anything"));
        for url in ["https://evil.example/", "http://api.example.com/", "https://api.example.com:8443/"] {
            assert!(!permitted(&api, url), "{url}");
        }
        let given = node("{% set host = inputs.host %}https://{{ host }}/{{ runtime.task_id }}");
        assert!(permitted(&given, "https://api.example.com/"), "whoever runs the recipe says where");
        for url in ["{{ crawl.pages[0].url }}", "{{ item }}", "{% set u = crawl.base_url %}{{ u or inputs.url }}"] {
            assert!(!permitted(&node(url), "https://api.example.com/"), "{url}");
        }
        let mut listed = node("{{ crawl.base_url }}");
        assert!(!permitted(&listed, "https://api.example.com/"));
        listed.secret_hosts = serde_json::from_value(json!(["api.example.com"])).unwrap();
        assert!(permitted(&listed, "https://api.example.com/x") && !permitted(&listed, "https://evil.example/"));
    }
}
