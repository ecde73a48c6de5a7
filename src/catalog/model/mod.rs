//! The recipe and cookbook format: its types, and nothing but them.

mod amount;
mod cookbook;
mod duration;
mod names;
mod recipe;
mod version;

pub use amount::Amount;
pub use cookbook::{Cookbook, CookbookFile, DataSource, Pricing, SubscriptionLimits};
pub use duration::Span;
pub use names::{ItemName, SecretRef, SecretScope, Slug, Title, is_key_name};
pub use recipe::{
    AbTesting, Budget, Cache, Compliance, Edge, InputSpec, InputType, Node, OnUnknown, OutputFormat, OutputSpec, Range,
    Recipe, RecipeFile, RetryPolicy, SuccessMetric, Validation, Variant, Workflow,
};
pub use version::Version;

pub use crate::base::SecretHost;
