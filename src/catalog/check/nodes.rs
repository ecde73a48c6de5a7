//! Checks of each node: component, templates, control keys.

use super::{Check, Offered, graph::Graph, references::Place};
use crate::{
    base::MAX_SECRET_HOSTS,
    catalog::{
        components::{self, Waits},
        control::{Approval, Fault, SubRecipe},
        destination,
        model::{Node, OnUnknown},
        problem::{Path, choices},
        read::{Kind, Tree},
        template,
    },
};

const MAX_ATTEMPTS: u32 = 20;
const MAX_PARALLEL: u32 = 100;
const MAX_SECRETS: usize = 20;

impl<'a> Check<'a> {
    pub(super) fn nodes(&mut self, offered: Offered<'_>, graph: &Graph<'a>) {
        let nodes = Path::default().key("recipe").key("workflow").key("nodes");
        let recipe = self.recipe;
        for (index, node) in recipe.workflow.nodes.iter().enumerate() {
            let path = nodes.index(index);
            self.component(&path.key("component"), node, offered);
            self.control(&path, node);
            self.secrets(&path, node);
            self.waiting(&path, node);
            self.cache(&path, node);
            if offered(&node.component) {
                self.model_config(&path, node);
            }
            for (key, expression) in [("when", &node.when), ("for_each", &node.for_each)] {
                if let Some(text) = expression {
                    self.expression(&path.key(key), text, &Place::Gate { node: index }, graph);
                }
            }
            let config = path.key("config");
            if let Some(tree) = self.tree.get(&config) {
                let place = Place::Config { node: index, in_loop: node.for_each.is_some() };
                self.templates(&config, tree, &place, graph);
            }
        }
    }

    fn component(&mut self, path: &Path<'a>, node: &Node, offered: Offered<'_>) {
        let name = node.component.as_str();
        if name.is_empty() || offered(name) {
            return;
        }
        if components::exists(name) {
            self.problem(path, format!("the component `{name}` is not offered by this installation yet"));
        } else {
            let offered: Vec<&str> =
                components::ALL.iter().map(|spec| spec.name).filter(|name| offered(name)).collect();
            self.problem(path, format!("there is no component `{name}`{}", choices(name, &offered)));
        }
    }

    fn control(&mut self, path: &Path<'a>, node: &Node) {
        match node.max_parallel {
            Some(0) => self.problem(&path.key("max_parallel"), "give at least 1"),
            Some(many) if many > MAX_PARALLEL => {
                self.problem(&path.key("max_parallel"), format!("{many} is too many; at most {MAX_PARALLEL}"));
            }
            Some(_) if node.for_each.is_none() => {
                self.warn(&path.key("max_parallel"), "does nothing without `for_each`");
            }
            _ => {}
        }
        if let Some(retry) = &node.retry {
            let path = path.key("retry");
            if retry.max_attempts.is_some_and(|tries| !(1..=MAX_ATTEMPTS).contains(&tries)) {
                let message = format!("give 1 (no second try) to {MAX_ATTEMPTS}; the first try counts");
                self.problem(&path.key("max_attempts"), message);
            }
            if let (Some(first), Some(most)) = (retry.initial_delay, retry.max_delay)
                && first > most
            {
                self.problem(&path.key("max_delay"), format!("{most} is less than initial_delay, {first}"));
            }
        }
    }

    /// What a page or an answer says must not choose where a secret goes.
    fn secrets(&mut self, path: &Path<'a>, node: &Node) {
        if node.secrets.len() > MAX_SECRETS {
            let message = format!("{} secrets; at most {MAX_SECRETS} are accepted for one node", node.secrets.len());
            self.problem(&path.key("secrets"), message);
        }
        if node.secret_hosts.len() > MAX_SECRET_HOSTS {
            let message = format!("{} hosts; at most {MAX_SECRET_HOSTS} are accepted", node.secret_hosts.len());
            self.problem(&path.key("secret_hosts"), message);
        }
        let config = path.key("config");
        let url = node.config.get("url").and_then(serde_json::Value::as_str);
        if node.spec().is_some_and(|spec| spec.sends_secrets)
            && !node.secrets.is_empty()
            && node.secret_hosts.is_empty()
            && let Some(url) = url
            && destination::fixed(url).is_none()
        {
            if destination::of_inputs(url) {
                self.warn(
                    &config.key("url"),
                    "whoever runs the recipe chooses the host, among those that the node's secrets are bound to: write \
                     scheme and host out, or list the hosts under the node's `secret_hosts`",
                );
            } else {
                self.problem(
                    &config.key("url"),
                    "the node has secrets, and what a page or an answer says must not choose where they go: write \
                     scheme and host out, as in https://api.example.com/{{ inputs.path }}, or list the hosts under \
                     the node's `secret_hosts`",
                );
            }
        }
        if node.spec().is_some_and(|spec| spec.asks_model)
            && node.secrets.contains_key("api_key")
            && !destination::fixes_provider(&node.config)
        {
            self.problem(
                &config.key("model"),
                "the node has secrets.api_key, and what a page or an answer says must not choose whom it goes to: write `provider` out",
            );
        }
    }

    /// The config of what the engine itself carries out, and keys that mean nothing to it.
    fn waiting(&mut self, path: &Path<'a>, node: &'a Node) {
        let faults = match node.spec().and_then(|spec| spec.waits) {
            Some(Waits::ForPeople) => Approval::read(&node.config).err(),
            Some(Waits::ForTask) => match SubRecipe::read(&node.config) {
                Ok(sub) if sub.recipe == self.recipe.id.as_str() => {
                    let message = "names the recipe that it stands in, which would start itself without end";
                    let key = "recipe".to_owned();
                    Some(vec![Fault { key, index: None, message: message.to_owned() }])
                }
                read => read.err(),
            },
            None => return,
        };
        let config = path.key("config");
        for Fault { key, index, message } in faults.into_iter().flatten() {
            // A key that is not there cannot be pointed at.
            let place = match node.config.get_key_value(&key) {
                Some((key, _)) => config.key(key),
                None => config.clone(),
            };
            let message = if node.config.contains_key(&key) { message } else { format!("`{key}` {message}") };
            self.problem(&index.map_or(place.clone(), |index| place.index(index)), message);
        }
        let name = &node.component;
        for (key, is_set, why) in [
            ("secrets", !node.secrets.is_empty(), "it opens none"),
            ("retry", node.retry.is_some(), "it is not tried again"),
            (
                "timeout",
                node.timeout.is_some(),
                "an Approval has `config.timeout`, the nodes of a sub-recipe their own",
            ),
            ("on_unknown", node.on_unknown != OnUnknown::Retry, "it makes no calls of its own"),
        ] {
            if is_set {
                self.warn(&path.key(key), format!("has no effect on {name}: {why}"));
            }
        }
    }

    fn cache(&mut self, path: &Path<'a>, node: &Node) {
        if node.cache.is_none() {
            return;
        }
        if !node.spec().is_some_and(|spec| spec.is_cacheable) {
            let message = format!("has no effect: what {} gives depends on more than its config", node.component);
            self.warn(&path.key("cache"), message);
        } else if !node.secrets.is_empty() {
            self.warn(&path.key("cache"), "has no effect: what was got with secrets is not kept for other runs");
        }
    }

    /// Every string of a config, and what it refers to.
    fn templates(&mut self, path: &Path<'a>, tree: &'a Tree, place: &Place, graph: &Graph<'a>) {
        match &tree.kind {
            Kind::Text(text) => match template::references(text) {
                Ok(found) => self.references(path, &found, place, graph),
                Err(fault) => self.problem(path, format!("is not a valid template: {}", fault.message)),
            },
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.templates(&path.index(index), item, place, graph);
                }
            }
            Kind::Map(entries) => {
                for (key, value) in entries {
                    self.templates(&path.key(&key.name), value, place, graph);
                }
            }
            _ => {}
        }
    }

    pub(super) fn expression(&mut self, path: &Path<'a>, text: &str, place: &Place, graph: &Graph<'a>) {
        match template::references_of_expression(text) {
            Ok(found) => self.references(path, &found, place, graph),
            Err(fault) => self.problem(path, format!("is not a valid expression: {}", fault.message)),
        }
    }
}
