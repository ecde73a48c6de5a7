//! Recipes that were not taken, as problems.

use crate::{
    api::{Problem, http::problem::FieldError},
    catalog::{self, publish::PublishError},
};

/// A problem's line is part of its message: `errors` has no other place for it.
pub fn fields(problems: &[catalog::Problem]) -> Vec<FieldError> {
    let message = |problem: &catalog::Problem| match (problem.line, problem.column) {
        (Some(line), Some(column)) => format!("{} (line {line}, column {column})", problem.message),
        _ => problem.message.clone(),
    };
    problems.iter().map(|problem| FieldError::new(problem.path.clone(), message(problem))).collect()
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::VersionTaken { .. } => Self::conflict("version_taken", error.to_string()),
            PublishError::Invalid(problems) => Self::validation(fields(&problems)).with_code("invalid_recipe"),
            PublishError::Database(error) => error.into(),
        }
    }
}
