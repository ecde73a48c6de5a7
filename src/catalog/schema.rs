//! The JSON Schema of a recipe file, for editors. `recipes/recipe.schema.json` is its copy.

mod config;
#[cfg(test)]
mod tests;

use schemars::{Schema, generate::SchemaSettings};
use serde_json::Value;

use super::model::RecipeFile;

/// Made from the types that read recipes and from the table of components, so it cannot
/// disagree with them.
#[must_use]
pub fn recipe() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<RecipeFile>();
    schema.insert("title".to_owned(), "TeamAI recipe".into());
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        config::add(definitions);
    }
    schema
}

/// The schema as the file holds it.
#[must_use]
pub fn recipe_text() -> String {
    format!("{:#}\n", recipe().to_value())
}
