//! Where a recipe sends its secrets, as far as it says so before it runs.
//!
//! What is written out here binds a secret that has no hosts yet, when somebody who may
//! publishes the recipe. An address that a template makes up binds nothing.

use serde_json::{Map, Value};

use super::{
    agent,
    components::ComponentSpec,
    destination,
    model::{Node, Recipe, SecretHost, SecretRef},
};

const PREFIX: &str = "secret:";
/// Sent without being placed.
const BEARER: [&str; 2] = ["api_key", "bearer_token"];

/// A secret of a node that leaves with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// `recipe.workflow.nodes[1].secrets.key`.
    pub path: String,
    pub secret: SecretRef,
    pub to: To,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    Host(SecretHost),
    /// The name of a model provider, as it is written.
    Provider(String),
    /// Known when the recipe runs.
    Unknown,
}

/// Every secret that is sent, with each place that it is sent to, in the order of the text.
#[must_use]
pub fn of(recipe: &Recipe) -> Vec<Send> {
    let nodes = recipe.workflow.nodes.iter().enumerate();
    nodes.flat_map(|(nth, node)| of_node(nth, node)).collect()
}

fn of_node(nth: usize, node: &Node) -> Vec<Send> {
    let (spec, mut sends) = (node.spec(), Vec::new());
    for (local, secret) in &node.secrets {
        let mut places = Vec::new();
        if spec.is_some_and(|spec| spec.sends_secrets) && is_placed(&node.config, local) {
            places.extend(by_url(&node.config, &node.secret_hosts));
        }
        if spec.is_some_and(|spec| spec.asks_model) && local == "api_key" {
            places.push(to_provider(&node.config));
        }
        // A list of tools that cannot be read is refused elsewhere.
        let tools =
            if spec.is_some_and(ComponentSpec::has_tools) { agent::tools(&node.config) } else { Ok(Vec::new()) };
        for tool in tools.unwrap_or_default() {
            if let Some(config) = tool.config.filter(|config| is_placed(config, local))
                && tool.secrets.contains(&local.as_str())
            {
                places.extend(by_url(config, &node.secret_hosts));
            }
        }
        for to in places {
            let send =
                Send { path: format!("recipe.workflow.nodes[{nth}].secrets.{local}"), secret: secret.clone(), to };
            if !sends.contains(&send) {
                sends.push(send);
            }
        }
    }
    sends
}

fn is_placed(config: &Map<String, Value>, local: &str) -> bool {
    let names = |value: &Value| value.as_str().and_then(|text| text.strip_prefix(PREFIX)) == Some(local);
    let parts = ["headers", "query"].into_iter().filter_map(|part| config.get(part)?.as_object());
    BEARER.contains(&local) || parts.flat_map(Map::values).any(names)
}

/// The host that the `url` spells out, and those that the node lists for its secrets.
fn by_url(config: &Map<String, Value>, listed: &[SecretHost]) -> Vec<To> {
    let written = config.get("url").and_then(Value::as_str).and_then(destination::fixed);
    let written = written.as_ref().and_then(SecretHost::of_url);
    let hosts: Vec<To> = written.into_iter().chain(listed.iter().cloned()).map(To::Host).collect();
    if hosts.is_empty() { vec![To::Unknown] } else { hosts }
}

fn to_provider(config: &Map<String, Value>) -> To {
    let written = |key: &str| {
        let text = config.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        text.filter(|text| !text.contains("{{") && !text.contains("{%") && !text.contains("{#"))
    };
    let provider = match config.get("provider") {
        None | Some(Value::Null) => written("model").and_then(|model| model.split_once('/')).map(|(name, _)| name),
        Some(_) => written("provider"),
    };
    provider.map_or(To::Unknown, |name| To::Provider(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sends(nodes: &Value) -> Vec<(String, String, String)> {
        let recipe = json!({"id": "r", "name": "R", "version": "1.0", "workflow": {"nodes": nodes}});
        let recipe: Recipe = serde_json::from_value(recipe).unwrap();
        let place = |to: To| match to {
            To::Host(host) => host.to_string(),
            To::Provider(name) => format!("provider {name}"),
            To::Unknown => "?".to_owned(),
        };
        let short = |path: &str| path.trim_start_matches("recipe.workflow.").to_owned();
        of(&recipe).into_iter().map(|send| (short(&send.path), send.secret.to_string(), place(send.to))).collect()
    }

    fn places(node: &Value) -> Vec<String> {
        sends(&json!([node])).into_iter().map(|(_, _, to)| to).collect()
    }

    #[test]
    fn a_host_that_is_written_out_is_known_and_one_of_a_template_is_not() {
        let http = |url: &str, hosts: &Value| {
            places(&json!({"id": "a", "component": "HttpRequest", "config": {"url": url, "headers": {"x": "secret:k"}},
                "secrets": {"k": "secret:key"}, "secret_hosts": hosts}))
        };
        assert_eq!(http("https://A.example:443/{{ inputs.x }}", &json!([])), ["a.example"]);
        assert_eq!(http("http://127.0.0.1:8080/", &json!([])), ["127.0.0.1:8080"]);
        for url in ["{{ inputs.url }}", "https://{{ inputs.host }}/", "https://a.example{{ inputs.rest }}", "a.example"]
        {
            assert_eq!(http(url, &json!([])), ["?"], "{url}");
        }
        assert_eq!(http("{{ inputs.url }}", &json!(["a.example", "b.example"])), ["a.example", "b.example"]);
        assert_eq!(http("https://a.example/", &json!(["b.example"])), ["a.example", "b.example"]);
    }

    #[test]
    fn only_what_leaves_counts() {
        let node = json!({"id": "a", "component": "DataFetcher",
            "config": {"url": "https://a.example/", "query": {"q": "secret:k", "r": "secret:team:l"}},
            "secrets": {"k": "secret:one", "l": "secret:two", "bearer_token": "secret:team:three"}});
        let found = sends(&json!([node]));
        let found: Vec<_> = found.iter().map(|(path, secret, _)| (path.as_str(), secret.as_str())).collect();
        assert_eq!(
            found,
            [("nodes[0].secrets.bearer_token", "secret:team:three"), ("nodes[0].secrets.k", "secret:one")]
        );
        assert!(places(&json!({"id": "a", "component": "Transform", "secrets": {"api_key": "secret:k"}})).is_empty());
        // A template may make up the headers, and places no secret with them.
        let made_up = json!({"id": "a", "component": "HttpRequest", "secrets": {"k": "secret:k"},
            "config": {"url": "https://a.example/", "headers": "{{ inputs.headers }}"}});
        assert!(places(&made_up).is_empty());
    }

    #[test]
    fn a_models_key_goes_to_the_provider_that_is_written_out() {
        let ask = |config: &Value| {
            places(
                &json!({"id": "a", "component": "LLMProcessor", "config": config, "secrets": {"api_key": "secret:k"}}),
            )
        };
        assert_eq!(ask(&json!({"model": "acme/small"})), ["provider acme"]);
        assert_eq!(ask(&json!({"provider": "acme", "model": "other/{{ inputs.x }}"})), ["provider acme"]);
        for config in [
            json!({}),
            json!({"model": "small"}),
            json!({"model": "{{ inputs.x }}/small"}),
            json!({"provider": "{{ inputs.x }}", "model": "acme/small"}),
        ] {
            assert_eq!(ask(&config), ["?"], "{config}");
        }
    }

    #[test]
    fn a_tool_sends_those_secrets_that_it_lists() {
        let tool = |url: &str, secrets: &Value| {
            let tool = json!({"component": "HttpRequest", "secrets": secrets,
                "config": {"url": url, "headers": {"x": "secret:k"}}});
            places(&json!({"id": "a", "component": "Agent", "secrets": {"k": "secret:key"},
                "config": {"model": "acme/small", "prompt_template": "x", "tools": [tool]}}))
        };
        assert_eq!(tool("https://a.example/x", &json!(["k"])), ["a.example"]);
        assert_eq!(tool("https://{{ inputs.x }}/", &json!(["k"])), ["?"]);
        assert!(tool("https://a.example/x", &json!([])).is_empty());
    }
}
