//! The JSON Schema of a recipe file, for editors. `recipes/recipe.schema.json` is its copy.

use schemars::{Schema, generate::SchemaSettings};

use super::model::RecipeFile;

/// Made from the types that read recipes, so it cannot disagree with them.
#[must_use]
pub fn recipe() -> Schema {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<RecipeFile>();
    schema.insert("title".to_owned(), "TeamAI recipe".into());
    schema
}

/// The schema as the file holds it.
#[must_use]
pub fn recipe_text() -> String {
    format!("{:#}\n", recipe().to_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run with the file removed to write it anew.
    #[test]
    fn the_file_is_the_schema() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes/recipe.schema.json");
        let Ok(file) = std::fs::read_to_string(path) else {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/recipes")).unwrap();
            std::fs::write(path, recipe_text()).unwrap();
            panic!("wrote {path}; look at it and run the test again");
        };
        assert!(file == recipe_text(), "{path} is out of date: remove it and run this test to write it anew");
    }
}
