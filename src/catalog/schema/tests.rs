//! The published schema against the file, the shipped recipes and the components' own reading.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::*;
use crate::catalog::{
    components::{ALL, Kind, Setting, value},
    read,
};

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

fn validator() -> Validator {
    jsonschema::validator_for(&recipe().to_value()).unwrap()
}

fn node(component: &str, config: &Value) -> Value {
    let node = json!({"id": "n", "component": component, "config": config});
    json!({"recipe": {"id": "r", "name": "R", "version": "1.0", "workflow": {"nodes": [node]}}})
}

#[test]
fn every_shipped_recipe_follows_the_schema() {
    let (validator, mut recipes) = (validator(), 0);
    let pattern = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes");
    for folder in std::fs::read_dir(pattern).unwrap().filter_map(|entry| std::fs::read_dir(entry.unwrap().path()).ok())
    {
        for file in folder.map(|entry| entry.unwrap().path()) {
            let (tree, _) = read::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
            let document = tree.to_json();
            if document.get("recipe").is_some() {
                let errors: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{}: {errors:?}", file.display());
                recipes += 1;
            }
        }
    }
    assert!(recipes >= 8, "only {recipes} recipes were found");
}

#[test]
fn a_component_and_its_settings_are_named_right_or_refused() {
    let validator = validator();
    for (component, config) in [
        ("WebCrawler", json!({"max_pages": 5, "timeout": "5s", "respect_robots": "no"})),
        ("SubscriptionTracker", json!({"anything": {"of": "the author's"}})),
        ("HttpRequest", json!({"url": "https://a.example", "method": "post", "headers": {"x": 1}, "json": [1]})),
        ("Approval", json!({"message": "Go on?", "timeout": "2d", "form": {"type": "object"}})),
        ("Agent", json!({"prompt_template": "x", "tools": [{"component": "LLMProcessor", "config": {"model": "m"}}]})),
    ] {
        assert!(validator.is_valid(&node(component, &config)), "{component} {config}");
    }
    for (component, config) in [
        ("WebCrawlr", json!({})),
        ("WebCrawler", json!({"max_page": 5})),
        ("WebCrawler", json!({"max_pages": 0})),
        ("LLMProcessor", json!({"promt_template": "x"})),
        ("LLMProcessor", json!({"prompt_template": "x", "temperature": "hot"})),
        ("HttpRequest", json!({"url": "https://a.example", "method": "FETCH"})),
        ("Approval", json!({})),
        ("Agent", json!({"prompt_template": "x", "tools": [{"component": "Transform"}]})),
        ("Agent", json!({"prompt_template": "x", "tools": [{"component": "WebCrawler", "config": {"limit": 1}}]})),
    ] {
        assert!(!validator.is_valid(&node(component, &config)), "{component} {config}");
    }
}

/// Whether the component would take the value, as far as the table says.
fn is_read(kind: &Kind, given: &Value) -> bool {
    match kind {
        Kind::Integer { range, .. } => value::integer(given, range).is_ok(),
        Kind::Number { range } => value::number(given, range).is_ok(),
        Kind::Boolean { .. } => value::boolean(given).is_ok(),
        Kind::Duration { range, .. } => value::duration(given, range).is_ok(),
        Kind::Word { words, .. } => value::word(given, words).is_ok(),
        Kind::Text => value::scalar(given).is_some(),
        _ => false,
    }
}

#[test]
fn the_schema_refuses_nothing_that_a_component_takes() {
    let samples = [
        json!(1),
        json!(3.0),
        json!(" 7 "),
        json!("+2"),
        json!("1e0"),
        json!("2s"),
        json!("1.5 min"),
        json!("500ms"),
        json!(true),
        json!("Off"),
        json!("pOsT"),
        json!(" html "),
        json!("0.5"),
        json!("words"),
    ];
    let always = [json!("{{ a.b }}"), json!("x {% if a %}y{% endif %}"), Value::Null];
    let schema = recipe().to_value();
    for (spec, setting) in ALL.iter().flat_map(|spec| spec.settings().map(move |setting: &Setting| (spec, setting))) {
        let definition = &schema["$defs"][format!("{}Config", spec.name)]["properties"][setting.key];
        let alone = json!({"$defs": schema["$defs"], "allOf": [definition]});
        let validator = jsonschema::validator_for(&alone).unwrap();
        for given in samples.iter().filter(|given| is_read(&setting.kind, given)).chain(&always) {
            assert!(validator.is_valid(given), "{}.{}: {given}", spec.name, setting.key);
        }
    }
}
