//! The recipes in `recipes/`: each is valid, and each renders with what its components give.

use std::{path::Path, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    Plan, components, inputs,
    load::{self, Folder},
    model::{InputSpec, InputType, Validation},
    template::{Escape, Scope},
};

fn shipped() -> Folder {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    load::read(&dir, &components::exists).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn all_are_valid_without_a_warning() {
    let folder = shipped();
    assert_eq!(folder.warnings, []);
    let mut names: Vec<String> = folder
        .recipes
        .iter()
        .map(|file| format!("{} {}", file.checked.recipe.id, file.checked.recipe.version))
        .collect();
    names.sort();
    let expected = [
        "broken-link-checker 1.0.0",
        "content-ideas 1.0.0",
        "draft-outreach 1.0.0",
        "meta-tag-analyzer 1.0.0",
        "post-calendar 1.0.0",
        "score-lead 1.0.0",
        "site-audit 1.0.0",
        "site-audit 1.1.0",
    ];
    assert_eq!(names, expected);
    assert_eq!(folder.cookbooks.len(), 3);
}

fn page(url: &str, title: &Value, words: u32, missing_alt: u32) -> Value {
    json!({"url": url, "status_code": 200, "title": title, "meta_description": null, "meta_keywords": null, "canonical": null,
        "h1_tags": ["A {{ 7*7 }}"], "h2_tags": [], "word_count": words, "links": [], "images": [],
        "images_without_alt": missing_alt, "depth": 0, "elapsed_ms": 1, "content_type": "text/html", "markdown": "# Hello"})
}

/// What a component gives, as recipes see it.
fn output_of(component: &str, config: &Map<String, Value>, broken: bool) -> Value {
    match component {
        "WebCrawler" => json!({
            "pages": [page("https://a.b/", &json!("Same"), 400, 0), page("https://a.b/x", &json!("Same"), 20, 2), page("https://a.b/y", &Value::Null, 200, 0)],
            "total_pages": 3, "visited_urls": [], "base_url": "https://a.b/",
            "broken_links": if broken { json!([{"url": "https://a.b/gone", "status_code": 404, "error": null, "found_on": "https://a.b/"}]) } else { json!([]) },
            "skipped": [{"url": "https://a.b/private", "reason": "robots.txt"}]}),
        "WebsiteConnector" => page("https://a.b/", &json!("Same"), 400, 0),
        "LLMProcessor" => {
            json!({"content": "Advice {{ 7*7 }}", "model": "m", "provider": "p", "usage": {}, "cost_usd": "0.1", "fallback_used": false,
            "json": {"posts": [{"date": "2026-03-03"}, {"date": "2026-03-02"}], "score": 70, "grade": "B", "summary": "s",
                "evidence_for": ["e"], "evidence_against": [], "unknown": ["u"], "next_step": "call"}})
        }
        "Transform" => config["value"].clone(),
        "SubscriptionTracker" => json!({"calls": 1}),
        "ReportGenerator" => {
            json!({"output": config["template"], "content_type": "text/markdown", "filename": "report.md"})
        }
        other => panic!("{other}"),
    }
}

/// A value that the input accepts.
fn example(spec: &InputSpec) -> Value {
    match (spec.kind, spec.validation) {
        (_, Validation::Url) => json!("https://a.b/"),
        (InputType::String, _) => {
            let given = spec.values.as_ref().and_then(|values| values.first()).or(spec.example.as_ref());
            given.cloned().unwrap_or_else(|| json!("Ex \"Ltd\""))
        }
        (InputType::Array, _) => json!(["one", "two"]),
        (InputType::Integer, _) => json!(2),
        (kind, _) => panic!("{kind:?}"),
    }
}

/// Walks the plan as a run does, with components that answer at once.
fn run(plan: &Plan, given: Value, broken: bool) -> (String, String) {
    let inputs = inputs::check(&plan.recipe().inputs, given).unwrap_or_else(|problems| panic!("{problems:?}"));
    let runtime = json!({"task_id": "t", "agency_id": "a", "team_id": "m", "agent_instance_id": "i", "recipe_id": "r", "now": "2026-03-01T10:20:30Z"});
    let mut scope = Scope::new(&inputs, runtime);
    for step in plan.steps() {
        if step.should_run(&scope).unwrap() {
            let config = step.render(&scope).unwrap_or_else(|error| panic!("{}: {error}", plan.recipe().id));
            scope.finish(step.node.id.as_str(), &output_of(&step.node.component, &config, broken));
        } else {
            scope.skip(step.node.id.as_str());
        }
    }
    let output = plan.output(&scope).unwrap().unwrap();
    (output.as_str().unwrap().to_owned(), plan.file_name(&scope).unwrap().unwrap())
}

#[test]
fn all_render_with_every_input_and_with_the_required_ones_alone() {
    for file in shipped().recipes {
        let recipe = &file.checked.recipe;
        let plan = Plan::new(recipe.clone(), &|_| Escape::None).unwrap();
        let required: Map<String, Value> = recipe
            .inputs
            .iter()
            .filter(|spec| spec.required)
            .map(|spec| (spec.name.to_string(), example(spec)))
            .collect();
        let every: Map<String, Value> =
            recipe.inputs.iter().map(|spec| (spec.name.to_string(), example(spec))).collect();
        for given in [required, every] {
            for broken in [true, false] {
                let (output, name) = run(&plan, Value::Object(given.clone()), broken);
                assert!(output.len() > 20 && !output.contains("49"), "{}: {output}", file.name);
                assert!(!name.contains(['{', '/', ' ']) && name.contains('.'), "{name}");
            }
        }
    }
}

#[test]
fn the_audit_reports_the_true_faults() {
    for file in shipped().recipes.iter().filter(|file| file.checked.recipe.id.as_str() == "site-audit") {
        let plan = Plan::new(Arc::clone(&file.checked.recipe), &|_| Escape::None).unwrap();
        let (report, name) = run(&plan, json!({"website_url": "https://a.b/"}), true);
        assert_eq!(name, "audit_a.b_20260301T102030.md");
        for line in [
            "3 pages looked at on 2026-03-01.",
            "Advice {{ 7*7 }}",
            "| Pages without a title | 1 |",
            "| Pages without a meta description | 3 |",
            "| Pages with fewer than 150 words | 1 |",
            "- \"Same\": https://a.b/, https://a.b/x",
            "- https://a.b/gone (404), linked from https://a.b/",
            "- https://a.b/private: robots.txt",
        ] {
            assert!(report.lines().any(|found| found == line), "{line}\n---\n{report}");
        }
        insta::assert_snapshot!(format!("site_audit_{}", file.checked.recipe.version), report);
    }
}
