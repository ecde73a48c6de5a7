//! Parses a document and says everything that is wrong with it at once.

mod graph;
mod inputs;
mod models;
mod nodes;
mod output;
mod references;

use std::sync::Arc;

use super::{
    hash::content_hash,
    model::{AbTesting, Cookbook, CookbookFile, Recipe, RecipeFile},
    problem::{Mark, Path, Problem, Report},
    read::{self, Read, Reader, Tree},
};

/// Whether this installation offers a component.
pub type Offered<'a> = &'a dyn Fn(&str) -> bool;

/// A valid recipe, not published yet.
#[derive(Debug, Clone)]
pub struct Checked {
    pub recipe: Arc<Recipe>,
    pub warnings: Vec<Problem>,
    /// SHA-256 of the document's content, whatever its layout and comments.
    pub content_hash: [u8; 32],
    /// Where the cookbook is named.
    pub(super) cookbook_mark: Mark,
}

/// A valid cookbook.
#[derive(Debug, Clone)]
pub struct CheckedCookbook {
    pub cookbook: Cookbook,
    pub warnings: Vec<Problem>,
    pub content_hash: [u8; 32],
}

/// Reads a recipe, in YAML or JSON.
///
/// # Errors
/// Every problem, in the order of the text, and the warnings too.
pub fn recipe(source: &str, offered: Offered<'_>) -> Result<Checked, Report> {
    let (tree, file, problems) = read_as::<RecipeFile>(source)?;
    let recipe = file.recipe;
    let mut check = Check { tree: &tree, recipe: &recipe, problems, warnings: Vec::new() };
    check.run(offered);
    let Check { problems, warnings, .. } = check;
    let report = sorted(problems, warnings);
    if !report.problems.is_empty() {
        return Err(report);
    }
    let cookbook_mark = tree.mark_of(&Path::default().key("recipe").key("cookbook"));
    let content_hash = content_hash(&tree.to_json());
    Ok(Checked { recipe: Arc::new(recipe), warnings: report.warnings, content_hash, cookbook_mark })
}

/// Reads a cookbook, in YAML or JSON.
///
/// # Errors
/// As [`recipe`].
pub fn cookbook(source: &str) -> Result<CheckedCookbook, Report> {
    let (tree, file, mut problems) = read_as::<CookbookFile>(source)?;
    let cookbook = file.cookbook;
    let root = Path::default().key("cookbook");
    let mut warnings = Vec::new();
    let note = |path: &Path<'_>, message: String| Problem::new(path.to_string(), message).at(tree.mark_of(path));
    for (index, name) in cookbook.required_secrets.iter().enumerate() {
        if !super::model::is_key_name(name) {
            let message = "is not a valid name for a secret: use 1 to 100 of a-z, 0-9, `_`, `.` and `-`".to_owned();
            problems.push(note(&root.key("required_secrets").index(index), message));
        }
    }
    for (index, slug) in cookbook.recipes.iter().enumerate() {
        if !slug.is_missing() && cookbook.recipes[..index].contains(slug) {
            problems.push(note(&root.key("recipes").index(index), format!("`{slug}` is listed twice; keep one")));
        }
    }
    if let Some(pricing) = &cookbook.pricing {
        let path = root.key("pricing");
        if pricing.currency != "USD" {
            problems.push(note(&path.key("currency"), format!("`{}`: prices are kept in USD", pricing.currency)));
        }
        if pricing.billing_period != "monthly" {
            let message = format!("`{}`: seats are billed monthly, whatever is written here", pricing.billing_period);
            warnings.push(note(&path.key("billing_period"), message));
        }
    }
    let report = sorted(problems, warnings);
    if !report.problems.is_empty() {
        return Err(report);
    }
    Ok(CheckedCookbook { cookbook, warnings: report.warnings, content_hash: content_hash(&tree.to_json()) })
}

fn read_as<T: Read>(source: &str) -> Result<(Tree, T, Vec<Problem>), Report> {
    let (tree, mut problems) =
        read::parse(source).map_err(|problem| Report { problems: vec![problem], warnings: Vec::new() })?;
    let mut reader = Reader::default();
    let value = T::read(&tree, &mut reader);
    problems.append(&mut reader.problems);
    drop(reader);
    Ok((tree, value, problems))
}

fn sorted(mut problems: Vec<Problem>, mut warnings: Vec<Problem>) -> Report {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems.dedup();
    warnings.sort_by_key(|problem| (problem.line, problem.column));
    Report { problems, warnings }
}

/// What the parts of the check share. The recipe may hold stand-ins for values
/// that could not be read; those are passed over in silence.
struct Check<'a> {
    tree: &'a Tree,
    recipe: &'a Recipe,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn run(&mut self, offered: Offered<'_>) {
        self.inputs();
        let graph = self.graph();
        self.nodes(offered, &graph);
        self.output(&graph);
        if let Some(ab_testing) = &self.recipe.ab_testing {
            self.ab_testing(ab_testing);
        }
        if self.recipe.compliance.billable_units != "per_execution" {
            let path = Path::default().key("recipe").key("compliance").key("billable_units");
            self.warn(&path, "only `per_execution` is billed; `cost_per_unit` is charged for each run");
        }
    }

    fn ab_testing(&mut self, ab_testing: &'a AbTesting) {
        let path = Path::default().key("recipe").key("ab_testing");
        if ab_testing.enabled && ab_testing.variants.len() < 2 {
            self.warn(&path.key("variants"), "an experiment compares two versions or more; nothing is tested");
        }
        if ab_testing.sample_size == 0 {
            self.problem(&path.key("sample_size"), "give at least 1 run for each variant");
        }
        for (index, variant) in ab_testing.variants.iter().enumerate() {
            if ab_testing.variants[..index].iter().any(|earlier| earlier.version == variant.version) {
                let message = format!("version {} is listed twice; keep one", variant.version);
                self.problem(&path.key("variants").index(index), message);
            }
        }
    }

    fn problem(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.problems.push(Problem::new(path.to_string(), message).at(self.tree.mark_of(path)));
    }

    fn warn(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.warnings.push(Problem::new(path.to_string(), message).at(self.tree.mark_of(path)));
    }
}

#[cfg(test)]
mod tests;
