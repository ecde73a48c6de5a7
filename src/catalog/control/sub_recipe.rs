//! `SubRecipe`: another recipe, run as a task of its own.

use serde_json::{Map, Value};

use super::{Config, Fault};
use crate::catalog::{components::SUB_RECIPE, lookup::RecipeRef, model::Version};

const MAX_NAME_CHARS: usize = 100;

/// Which recipe, and what it is given.
#[derive(Debug, Clone, PartialEq)]
pub struct SubRecipe {
    /// A slug or an id; empty while a template stands for it.
    pub recipe: String,
    pub version: Option<String>,
    pub inputs: Map<String, Value>,
}

impl SubRecipe {
    /// # Errors
    /// Everything that is wrong with the config.
    pub fn read(config: &Map<String, Value>) -> Result<Self, Vec<Fault>> {
        let mut config = Config::new(&SUB_RECIPE, config);
        config.require("recipe", "site-audit");
        let recipe = config.text("recipe", MAX_NAME_CHARS).unwrap_or_default();
        if !recipe.is_empty() && RecipeRef::parse(recipe).is_none() {
            config.fault(
                "recipe",
                format!("`{recipe}` is not the slug or id of a recipe; GET /recipes lists those there are"),
            );
        }
        let version = version(&mut config);
        let inputs = match config.value("inputs") {
            Some(Value::Object(inputs)) => inputs.clone(),
            Some(_) => {
                config.fault("inputs", "must be a mapping of the recipe's inputs to their values");
                Map::new()
            }
            None => Map::new(),
        };
        config.finish(Self { recipe: recipe.to_owned(), version, inputs })
    }
}

fn version(config: &mut Config<'_>) -> Option<String> {
    let text = match config.value("version")? {
        Value::String(text) => text.trim().to_owned(),
        // YAML reads 1.0 as a number.
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    if let Err(message) = Version::parse(&text) {
        config.fault("version", message);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: Value) -> Result<SubRecipe, Vec<String>> {
        let Value::Object(config) = config else { panic!("a config is a mapping") };
        SubRecipe::read(&config).map_err(|faults| faults.iter().map(Fault::path).collect())
    }

    #[test]
    fn a_recipe_with_its_version_and_inputs_is_read() {
        let read_full = read(json!({"recipe": "site-audit", "version": "1.0.0", "inputs": {"a": 1}})).unwrap();
        assert_eq!((read_full.recipe.as_str(), read_full.version.as_deref()), ("site-audit", Some("1.0.0")));
        assert_eq!(read_full.inputs["a"], 1);
        assert_eq!(read(json!({"recipe": "site-audit"})).unwrap().version, None);
        assert!(read(json!({"recipe": "{{ inputs.which }}", "inputs": "{{ a.inputs }}"})).is_ok());
    }

    #[test]
    fn every_fault_names_its_key() {
        for (config, path) in [
            (json!({}), "config.recipe"),
            (json!({"recipe": "Site Audit"}), "config.recipe"),
            (json!({"recipe": "a", "version": "newest"}), "config.version"),
            (json!({"recipe": "a", "inputs": [1]}), "config.inputs"),
            (json!({"recipe": "a", "input": {}}), "config.input"),
        ] {
            assert_eq!(read(config.clone()).unwrap_err(), [path], "{config}");
        }
    }
}
