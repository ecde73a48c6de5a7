//! Checks of the names that templates and expressions use.

use super::{Check, graph::Graph};
use crate::catalog::{
    problem::{Path, choices, suggestion},
    template::References,
};

/// What templates see as `runtime.*`.
const RUNTIME: [&str; 6] = ["task_id", "agency_id", "team_id", "agent_instance_id", "recipe_id", "now"];

/// Where a template stands, and so what it can see.
pub(super) enum Place {
    /// A node's config, once for each `item` if `in_loop`.
    Config { node: usize, in_loop: bool },
    /// A node's `when` or `for_each`: before it starts.
    Gate { node: usize },
    /// The recipe's output: after everything.
    Output,
}

impl<'a> Check<'a> {
    pub(super) fn references(&mut self, path: &Path<'a>, found: &References, place: &Place, graph: &Graph<'a>) {
        for name in &found.names {
            let mut segments = name.split('.');
            let root = segments.next().unwrap_or_default();
            let message = match root {
                "inputs" => self.input_reference(segments.next()),
                "runtime" => runtime_reference(segments.next()),
                "item" | "index" => loop_reference(root, place),
                "secrets" => Some("secrets never reach a template; name them under the node's `secrets`".to_owned()),
                _ => self.node_reference(root, place, graph),
            };
            match message {
                // It may be asked for and still not be there: `inputs.x | default(..)`.
                Some(message) if found.guarded && root == "inputs" => self.warn(path, message),
                Some(message) => self.problem(path, message),
                None => {}
            }
        }
    }

    fn input_reference(&self, name: Option<&str>) -> Option<String> {
        let name = name?;
        let names = || self.recipe.inputs.iter().map(|spec| spec.name.as_str());
        if names().any(|known| known == name) {
            return None;
        }
        Some(format!("`inputs.{name}`: the recipe declares no input `{name}`{}", suggestion(name, names())))
    }

    fn node_reference(&self, root: &str, place: &Place, graph: &Graph<'_>) -> Option<String> {
        let Some(&index) = graph.index.get(root) else {
            if self.recipe.inputs.iter().any(|spec| spec.name.as_str() == root) {
                return Some(format!("`{root}` is an input; write `inputs.{root}`"));
            }
            let near = suggestion(root, graph.index.keys().copied());
            return Some(format!("`{root}` is not a node of this recipe, nor `inputs` or `runtime`{near}"));
        };
        let (Place::Config { node, .. } | Place::Gate { node }) = place else { return None };
        if graph.runs_before(index, *node) {
            return None;
        }
        let id = &self.recipe.workflow.nodes[*node].id;
        if index == *node {
            return Some(format!("`{root}` cannot use its own output"));
        }
        if graph.runs_before(*node, index) {
            return Some(format!("`{root}` runs after `{id}`, so its output is not there yet"));
        }
        Some(format!("`{root}` may not have run before `{id}`; add `{root}` to the `depends_on` of `{id}`"))
    }
}

fn runtime_reference(fact: Option<&str>) -> Option<String> {
    let fact = fact?;
    if RUNTIME.contains(&fact) {
        return None;
    }
    Some(format!("there is no `runtime.{fact}`{}", choices(fact, &RUNTIME)))
}

fn loop_reference(name: &str, place: &Place) -> Option<String> {
    match place {
        Place::Config { in_loop: true, .. } => None,
        Place::Config { .. } => Some(format!("`{name}` is known in the config of a node with `for_each` only")),
        Place::Gate { .. } => {
            Some(format!("`{name}` is not known here: `when` and `for_each` are looked at once, before the loop"))
        }
        Place::Output => Some(format!("`{name}` is not known here: the loop is over")),
    }
}
