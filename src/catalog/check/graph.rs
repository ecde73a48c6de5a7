//! Checks of the graph: ids, `depends_on`, `edges`, cycles.

use std::collections::HashMap;

use serde_json::json;

use super::Check;
use crate::catalog::{
    graph,
    model::ItemName,
    problem::{Path, Step, suggestion},
    read::{Kind, Tree},
};

/// Nodes of one recipe.
const MAX_NODES: usize = 200;

/// Words that templates use otherwise.
const RESERVED: [&str; 28] = [
    "inputs",
    "runtime",
    "item",
    "index",
    "loop",
    "secrets",
    "self",
    "super",
    "caller",
    "range",
    "dict",
    "namespace",
    "true",
    "false",
    "none",
    "True",
    "False",
    "None",
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "for",
    "set",
    "debug",
];

/// Which node can have run before which.
pub(super) struct Graph<'a> {
    pub index: HashMap<&'a str, usize>,
    ancestors: Vec<Vec<bool>>,
}

impl Graph<'_> {
    /// Whether node `earlier` is always done when node `later` starts.
    pub fn runs_before(&self, earlier: usize, later: usize) -> bool {
        earlier != later && self.ancestors[later][earlier]
    }
}

impl<'a> Check<'a> {
    pub(super) fn graph(&mut self) -> Graph<'a> {
        let workflow = Path::default().key("recipe").key("workflow");
        let recipe = self.recipe;
        let nodes = &recipe.workflow.nodes;
        // A `workflow` or `nodes` of another type has been refused already.
        let empty = |tree: &Tree| {
            tree.child(Step::Key("nodes")).is_none_or(|nodes| nodes.is_null() || nodes.to_json() == json!([]))
        };
        if self.tree.get(&workflow).is_some_and(|tree| matches!(tree.kind, Kind::Map(_)) && empty(tree)) {
            self.problem(&workflow, "the workflow has no nodes; give at least one under `nodes`");
        }
        if nodes.len() > MAX_NODES {
            self.problem(&workflow.key("nodes"), format!("{} nodes; at most {MAX_NODES} are accepted", nodes.len()));
        }
        let mut index: HashMap<&'a str, usize> = HashMap::new();
        for (position, node) in nodes.iter().enumerate() {
            let path = workflow.key("nodes").index(position).key("id");
            if node.id.is_missing() {
                continue;
            }
            if RESERVED.contains(&node.id.as_str()) {
                self.problem(&path, format!("`{}` means something else in templates; choose another id", node.id));
            }
            if index.insert(node.id.as_str(), position).is_some() {
                self.problem(&path, format!("the id `{}` is used twice; rename one", node.id));
            }
        }
        let after = self.dependencies(&workflow, &index);
        if let Err(cycle) = graph::order(&after) {
            self.cycle(&workflow, &cycle);
        }
        Graph { index, ancestors: graph::ancestors(&after) }
    }

    fn dependencies(&mut self, workflow: &Path<'a>, index: &HashMap<&'a str, usize>) -> Vec<Vec<usize>> {
        let recipe = self.recipe;
        let mut after: Vec<Vec<usize>> = vec![Vec::new(); recipe.workflow.nodes.len()];
        for (position, node) in recipe.workflow.nodes.iter().enumerate() {
            for (place, from) in node.depends_on.iter().enumerate() {
                let path = workflow.key("nodes").index(position).key("depends_on").index(place);
                if let Some(from) = self.node_index(&path, from, index)
                    && !after[position].contains(&from)
                {
                    after[position].push(from);
                }
            }
        }
        for (position, edge) in recipe.workflow.edges.iter().enumerate() {
            let path = workflow.key("edges").index(position);
            let from = self.node_index(&path.key("from"), &edge.from, index);
            let to = self.node_index(&path.key("to"), &edge.to, index);
            if let (Some(from), Some(to)) = (from, to)
                && !after[to].contains(&from)
            {
                after[to].push(from);
            }
        }
        after
    }

    fn node_index(&mut self, path: &Path<'a>, id: &ItemName, index: &HashMap<&'a str, usize>) -> Option<usize> {
        let found = index.get(id.as_str()).copied();
        if found.is_none() && !id.is_missing() {
            let near = suggestion(id.as_str(), index.keys().copied());
            self.problem(path, format!("there is no node `{id}`{near}"));
        }
        found
    }

    fn cycle(&mut self, workflow: &Path<'a>, cycle: &[usize]) {
        let ids: Vec<&str> = cycle.iter().map(|node| self.recipe.workflow.nodes[*node].id.as_str()).collect();
        let Some((&first, name)) = cycle.first().zip(ids.first()) else { return };
        let message = match ids.as_slice() {
            [alone] => format!("node `{alone}` depends on itself; drop it from its `depends_on` or `edges`"),
            _ => format!(
                "the nodes form a cycle, so that none can start: {} waits for {name}; drop one of these dependencies",
                ids.iter().skip(1).fold((*name).to_owned(), |way, id| format!("{way} waits for {id}, {id}"))
            ),
        };
        self.problem(&workflow.key("nodes").index(first).key("depends_on"), message);
    }
}
