//! Checks of the nodes that ask models with a config of a closed form: `Agent`, `QualityJudge`.

use serde_json::Value;

use super::Check;
use crate::{
    base::json_schema::BoundedSchema,
    catalog::{
        agent,
        components::{AGENT_TURNS, ComponentSpec, Gives, Kind},
        control,
        model::Node,
        problem::Path,
    },
};

impl<'a> Check<'a> {
    pub(super) fn model_config(&mut self, path: &Path<'a>, node: &'a Node) {
        let Some(spec) = node.spec() else { return };
        let config = path.key("config");
        self.response_schema(&config, node, spec);
        if !(spec.has_tools() || spec.gives == Gives::Score) {
            return;
        }
        let known = spec.keys();
        for key in node.config.keys().filter(|key| !known.contains(&key.as_str())) {
            self.problem(&config.key(key), format!("is not a setting of {}; it has {}", spec.name, known.join(", ")));
        }
        for setting in spec.settings().filter(|setting| setting.is_required) {
            if node.config.get(setting.key).is_none_or(Value::is_null) {
                self.problem(&config, format!("{} needs `{}`", spec.name, setting.key));
            }
        }
        if spec.has_tools() {
            self.agent(&config, node);
        }
    }

    /// As far as it stands there: what a template makes up is looked at when the node runs.
    fn response_schema(&mut self, config: &Path<'a>, node: &'a Node, spec: &ComponentSpec) {
        let schemas = spec.settings().filter(|setting| spec.asks_model && matches!(setting.kind, Kind::Schema));
        for key in schemas.map(|setting| setting.key) {
            if let Some(schema) = node.config.get(key) {
                self.schema(&config.key(key), schema);
            }
        }
        let tools = node.config.get("tools").filter(|_| spec.has_tools()).and_then(Value::as_array);
        for (nth, tool) in tools.into_iter().flatten().enumerate() {
            if let Some(schema) = tool.pointer("/config/response_schema") {
                let at = config.key("tools").index(nth).key("config").key("response_schema");
                self.schema(&at, schema);
            }
        }
    }

    fn schema(&mut self, path: &Path<'a>, schema: &Value) {
        if schema.is_null() || control::has_template(schema) {
            return;
        }
        if !schema.is_object() {
            self.problem(path, "must be a JSON Schema, which is a mapping");
        } else if let Err(why) = BoundedSchema::compile(schema) {
            self.problem(path, why);
        }
    }

    fn agent(&mut self, config: &Path<'a>, node: &'a Node) {
        if let Some(Value::Number(turns)) = node.config.get("max_turns")
            && !turns.as_u64().is_some_and(|turns| AGENT_TURNS.contains(&turns))
        {
            self.problem(&config.key("max_turns"), format!("give {} to {}", AGENT_TURNS.start(), AGENT_TURNS.end()));
        }
        let tools = match agent::tools(&node.config) {
            Ok(tools) => tools,
            Err((at, why)) => return self.problem(&below(config, &at), why),
        };
        for (nth, tool) in tools.iter().enumerate() {
            for name in tool.secrets.iter().filter(|name| !node.secrets.contains_key(**name)) {
                let at = config.key("tools").index(nth).key("secrets");
                self.problem(&at, format!("`{name}` is not among the node's `secrets`"));
            }
        }
    }
}

/// `tools[0].hosts[1]` as a path.
fn below<'p>(config: &Path<'p>, at: &'p str) -> Path<'p> {
    at.split('.').fold(config.clone(), |path, step| {
        let mut parts = step.split(['[', ']']).filter(|part| !part.is_empty());
        let path = parts.next().map_or(path.clone(), |key| path.key(key));
        parts.filter_map(|index| index.parse().ok()).fold(path, |path, index| path.index(index))
    })
}

#[cfg(test)]
mod tests {
    fn problems(config: &str) -> Vec<(String, String)> {
        let source = format!(
            "recipe:\n  id: r\n  name: R\n  version: \"1.0\"\n  workflow:\n    nodes:\n      - {{ id: n, {config} }}\n"
        );
        let checked = super::super::recipe(&source, &|_| true);
        checked.err().into_iter().flat_map(|report| report.problems).map(|p| (p.path, p.message)).collect()
    }

    #[test]
    fn an_agents_config_is_of_a_closed_form() {
        let good = "component: Agent, config: { prompt_template: x, max_turns: 3, tools: [{ component: WebsiteConnector, hosts: [example.com] }] }";
        assert!(problems(good).is_empty(), "{:?}", problems(good));
        for (config, path, word) in [
            ("prompt_template: x, rubric: y", "rubric", "is not a setting of Agent"),
            ("model: openai/m", "", "needs `prompt_template`"),
            ("prompt_template: x, max_turns: 90", "max_turns", "1 to 50"),
            ("prompt_template: x, tools: [{ component: WebCrawler }]", "tools[0].hosts", "chooses the url"),
            (
                "prompt_template: x, tools: [{ component: WebCrawler, hosts: [\"*\"], limit: 1 }]",
                "tools[0].limit",
                "is not a setting of a tool",
            ),
            (
                "prompt_template: x, tools: [{ component: HttpRequest, config: { url: https://a.example }, secrets: [k] }]",
                "tools[0].secrets",
                "`k` is not among",
            ),
        ] {
            let found = problems(&format!("component: Agent, config: {{ {config} }}"));
            let dot = if path.is_empty() { "" } else { "." };
            let expected = format!("recipe.workflow.nodes[0].config{dot}{path}");
            assert!(found.len() == 1 && found[0].0 == expected && found[0].1.contains(word), "{config}: {found:?}");
        }
    }

    #[test]
    fn a_judge_has_a_rubric_and_a_subject() {
        let good = problems("component: QualityJudge, config: { rubric: x, subject: y, model: openai/m }");
        assert!(good.is_empty(), "{good:?}");
        let found = problems("component: QualityJudge, config: { rubric: x, tools: [] }");
        let mut words: Vec<_> = found.iter().map(|(_, message)| message.as_str()).collect();
        words.sort_unstable();
        assert!(
            words.len() == 2 && words[0].contains("needs `subject`") && words[1].contains("is not a setting"),
            "{words:?}"
        );
    }
}
