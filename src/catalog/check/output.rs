//! Checks of the workflow's output.

use super::{Check, graph::Graph, references::Place};
use crate::catalog::{file_name, problem::Path, template};

impl<'a> Check<'a> {
    pub(super) fn output(&mut self, graph: &Graph<'a>) {
        let recipe = self.recipe;
        let Some(output) = &recipe.workflow.output else { return };
        let path = Path::default().key("recipe").key("workflow").key("output");
        if !output.source.is_empty() {
            self.expression(&path.key("source"), &output.source, &Place::Output, graph);
        }
        let Some(pattern) = &output.filename else { return };
        let path = path.key("filename");
        let names: Vec<&str> = recipe.inputs.iter().map(|spec| spec.name.as_str()).collect();
        match file_name::to_template(pattern, &names) {
            Err(message) => self.problem(&path, message),
            Ok(text) => match template::references(&text) {
                Ok(found) => self.references(&path, &found, &Place::Output, graph),
                Err(fault) => self.problem(&path, format!("is not a valid template: {}", fault.message)),
            },
        }
    }
}
