//! Templates: minijinja in a small box, rendered exactly once.
//!
//! What a rendered value contains is data. It is never looked at as a template
//! again, so page text such as `{{ 7*7 }}` stays text.

mod budget;
mod charges;
mod compile;
mod deadline;
mod engine;
mod escape;
mod filters;
mod form;
mod growth;
mod helpers;
#[cfg(test)]
mod hostile_tests;
mod kept;
mod limits;
mod methods;
mod names;
#[cfg(test)]
mod paid_tests;
mod place;
mod plain;
mod program;
mod rebuild;
mod scope;
mod syntax;
mod tokens;

pub use budget::Budget;
pub(in crate::catalog) use compile::render_map;
pub use compile::{Compiled, Expr, Items};
pub use escape::Escape;
pub use kept::Kept;
pub use names::{References, SyntaxFault, references, references_of_expression};
pub use place::{Place, enter};
pub use scope::Scope;

/// Why a template or an expression gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node `{node}`, {path}: {message}")]
pub struct TemplateError {
    pub node: String,
    /// Within the node: `config.prompt_template`, `when`.
    pub path: String,
    pub message: String,
}
