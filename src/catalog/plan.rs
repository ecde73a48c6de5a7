//! A recipe made ready to run: nodes in order, templates compiled.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    file_name, graph,
    model::{Node, Recipe},
    template::{self, Budget, Compiled, Escape, Expr, Items, Scope, TemplateError},
};

/// One recipe version, compiled. Share it between runs in an [`Arc`].
#[derive(Debug)]
pub struct Plan {
    recipe: Arc<Recipe>,
    steps: Vec<Arc<Step>>,
    output: Option<Expr>,
    file_name: Option<Compiled>,
}

/// A node in its place. Indexes are places in [`Plan::steps`].
#[derive(Debug)]
pub struct Step {
    pub node: Node,
    /// All of them come earlier.
    pub depends_on: Vec<usize>,
    pub dependents: Vec<usize>,
    config: Vec<(String, Compiled)>,
    escape: Escape,
    when: Option<Expr>,
    for_each: Option<Expr>,
}

/// A stored recipe that does not hold together; validation lets none through.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("the nodes {} wait for one another", .0.join(", "))]
    Cycle(Vec<String>),
    #[error("`{from}` is to run before `{to}`, and one of them is not a node")]
    UnknownNode { from: String, to: String },
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl Plan {
    /// Orders and compiles a recipe. `escape` says how a node's config is escaped,
    /// which its component knows.
    ///
    /// # Errors
    /// The recipe was not validated.
    pub fn new(recipe: Arc<Recipe>, escape: &dyn Fn(&Node) -> Escape) -> Result<Self, PlanError> {
        let nodes = &recipe.workflow.nodes;
        let after = dependencies(&recipe)?;
        let order = graph::order(&after)
            .map_err(|cycle| PlanError::Cycle(cycle.iter().map(|node| nodes[*node].id.to_string()).collect()))?;
        let mut place = vec![0; nodes.len()];
        for (position, node) in order.iter().enumerate() {
            place[*node] = position;
        }
        let placed = |list: &[usize]| {
            let mut places: Vec<usize> = list.iter().map(|node| place[*node]).collect();
            places.sort_unstable();
            places
        };
        let dependents = graph::dependents(&after);

        let drafts = order
            .iter()
            .map(|index| {
                Draft::new(&nodes[*index], escape(&nodes[*index])).map_err(|error| named(&nodes[*index], error))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let output = match &recipe.workflow.output {
            Some(output) => Some(Expr::new(&output.source, "output.source")?),
            None => None,
        };
        let file_name = file_name(&recipe)?;
        let steps = order
            .iter()
            .zip(drafts)
            .map(|(index, draft)| {
                Arc::new(Step {
                    node: nodes[*index].clone(),
                    depends_on: placed(&after[*index]),
                    dependents: placed(&dependents[*index]),
                    config: draft.config,
                    escape: escape(&nodes[*index]),
                    when: draft.when,
                    for_each: draft.for_each,
                })
            })
            .collect();
        Ok(Self { recipe, steps, output, file_name })
    }

    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// In an order in which each step comes after those that it depends on.
    #[must_use]
    pub fn steps(&self) -> &[Arc<Step>] {
        &self.steps
    }

    /// The output's file name, safe for every file system; `None` if the recipe
    /// gives none.
    ///
    /// # Errors
    /// The pattern names what is not there, for instance because a node was skipped.
    pub fn file_name(&self, scope: &Scope) -> Result<Option<String>, TemplateError> {
        let Some(pattern) = &self.file_name else { return Ok(None) };
        match pattern.render(Escape::None, scope, "output.filename", &Budget::default()) {
            Ok(Value::String(name)) => Ok(Some(file_name::clean(&name))),
            Ok(other) => Ok(Some(file_name::clean(&other.to_string()))),
            Err(error) => Err(TemplateError { node: "output".to_owned(), ..error }),
        }
    }

    /// Whether the output and its file name are no more work than copying values that are named.
    #[must_use]
    pub fn output_only_copies(&self) -> bool {
        self.output.as_ref().is_none_or(Expr::only_copies) && self.file_name.as_ref().is_none_or(Compiled::only_copies)
    }

    /// What `workflow.output.source` is once the nodes have run; `None` if the
    /// recipe names no output.
    ///
    /// # Errors
    /// The source has no value, for instance because its node was skipped.
    pub fn output(&self, scope: &Scope) -> Result<Option<Value>, TemplateError> {
        let Some(source) = &self.output else { return Ok(None) };
        source
            .value(scope, "output.source")
            .map(Some)
            .map_err(|error| TemplateError { node: "output".to_owned(), ..error })
    }
}

fn file_name(recipe: &Recipe) -> Result<Option<Compiled>, TemplateError> {
    let Some(pattern) = recipe.workflow.output.as_ref().and_then(|output| output.filename.as_deref()) else {
        return Ok(None);
    };
    let names: Vec<&str> = recipe.inputs.iter().map(|spec| spec.name.as_str()).collect();
    let template = file_name::to_template(pattern, &names).map_err(|message| TemplateError {
        node: "output".to_owned(),
        path: "output.filename".to_owned(),
        message,
    })?;
    Compiled::new(&Value::String(template), Escape::None, "output.filename").map(Some)
}

/// A node's templates, before those of all nodes are put together.
struct Draft {
    config: Vec<(String, Compiled)>,
    when: Option<Expr>,
    for_each: Option<Expr>,
}

impl Draft {
    fn new(node: &Node, escape: Escape) -> Result<Self, TemplateError> {
        let mut config = Vec::with_capacity(node.config.len());
        for (key, value) in &node.config {
            config.push((key.clone(), Compiled::new(value, escape, &format!("config.{key}"))?));
        }
        let expression = |text: &Option<String>, path| text.as_ref().map(|text| Expr::new(text, path)).transpose();
        Ok(Self { config, when: expression(&node.when, "when")?, for_each: expression(&node.for_each, "for_each")? })
    }
}

impl Step {
    /// The node's config with every string rendered once.
    ///
    /// # Errors
    /// Names the node, the key and what is undefined.
    pub fn render(&self, scope: &Scope) -> Result<Map<String, Value>, TemplateError> {
        template::render_map(&self.config, self.escape, scope, "config", &Budget::default())
            .map_err(|error| named(&self.node, error))
    }

    /// Whether rendering it is no more work than copying values that are named.
    #[must_use]
    pub fn only_copies(&self) -> bool {
        self.config.iter().all(|(_, value)| value.only_copies())
            && [&self.when, &self.for_each].into_iter().flatten().all(Expr::only_copies)
    }

    /// Whether the node is to run: true without a `when`.
    ///
    /// # Errors
    /// The expression has no value.
    pub fn should_run(&self, scope: &Scope) -> Result<bool, TemplateError> {
        match &self.when {
            None => Ok(true),
            Some(when) => when.holds(scope, "when").map_err(|error| named(&self.node, error)),
        }
    }

    /// The entries that a `for_each` runs over, at most so many of them; `None` without one.
    /// Run each in [`Scope::with_item`].
    ///
    /// # Errors
    /// The expression has no value, or it is no list.
    pub fn items(&self, scope: &Scope, most: usize) -> Result<Option<Items>, TemplateError> {
        let Some(for_each) = &self.for_each else { return Ok(None) };
        match for_each.items(scope, most).map_err(|error| named(&self.node, error))? {
            Ok(items) => Ok(Some(items)),
            Err(other) => {
                let message = format!("the value is not a list but {}; give a list such as NODE.pages", kind(&other));
                Err(TemplateError { node: self.node.id.to_string(), path: "for_each".to_owned(), message })
            }
        }
    }
}

fn named(node: &Node, error: TemplateError) -> TemplateError {
    TemplateError { node: node.id.to_string(), ..error }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// `depends_on` and `edges` as one, without repetition.
fn dependencies(recipe: &Recipe) -> Result<Vec<Vec<usize>>, PlanError> {
    let workflow = &recipe.workflow;
    let index: std::collections::HashMap<&str, usize> =
        workflow.nodes.iter().enumerate().map(|(index, node)| (node.id.as_str(), index)).collect();
    let of_nodes = workflow.nodes.iter().flat_map(|node| node.depends_on.iter().map(move |from| (from, &node.id)));
    let of_edges = workflow.edges.iter().map(|edge| (&edge.from, &edge.to));
    let mut after = vec![Vec::new(); workflow.nodes.len()];
    for (from, to) in of_nodes.chain(of_edges) {
        match (index.get(from.as_str()), index.get(to.as_str())) {
            (Some(from), Some(to)) if after[*to].contains(from) => {}
            (Some(from), Some(to)) => after[*to].push(*from),
            _ => return Err(PlanError::UnknownNode { from: from.to_string(), to: to.to_string() }),
        }
    }
    Ok(after)
}

#[cfg(test)]
mod tests;
