//! Plans: order, gates, loops, errors that name the node.

use serde_json::json;

use super::*;
use crate::catalog::check;

fn plan(nodes: &str) -> Plan {
    let source = format!(
        "recipe:\n  id: x\n  name: X\n  version: 1.0\n  inputs: [{{ name: on, type: boolean, required: false }}]\n  workflow:\n    nodes:\n{nodes}"
    );
    let checked = check::recipe(&source, &|_| true).unwrap_or_else(|report| panic!("{report}"));
    Plan::new(checked.recipe, &|_| Escape::None).unwrap()
}

fn scope(on: bool) -> Scope {
    Scope::new(json!({"on": on}).as_object().unwrap(), json!({}))
}

#[test]
fn steps_are_in_order_and_know_their_neighbours() {
    let plan = plan(
        "    - { id: c, component: T, depends_on: [a, b] }\n    - { id: a, component: T }\n    - { id: b, component: T }\n    edges: [{ from: a, to: b }, { from: a, to: c }]\n",
    );
    let ids: Vec<&str> = plan.steps().iter().map(|step| step.node.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(plan.steps()[2].depends_on, [0, 1]);
    assert_eq!(plan.steps()[0].dependents, [1, 2]);
}

#[test]
fn gates_and_loops_look_at_the_scope() {
    let plan = plan(
        "    - { id: a, component: T }\n    - { id: b, component: T, depends_on: [a], when: inputs.on, for_each: a.list, config: { x: \"{{ item.n + index }}\" } }\n",
    );
    let mut scope = scope(true);
    scope.finish("a", &json!({"list": [{"n": 1}, {"n": 5}]}));
    let step = &plan.steps()[1];
    assert!(step.should_run(&scope).unwrap());
    let items = step.items(&scope, 10).unwrap().unwrap();
    let rendered = items.texts.iter().enumerate().map(|(index, item)| {
        let item: Value = serde_json::from_str(item).unwrap();
        step.render(&scope.with_item(&item, index)).unwrap()["x"].clone()
    });
    assert_eq!(rendered.collect::<Vec<_>>(), [json!(1), json!(6)]);
    let fewer = step.items(&scope, 1).unwrap().unwrap();
    assert_eq!((fewer.texts.len(), fewer.count), (1, 2));
    assert_eq!(plan.steps()[0].items(&scope, 10).unwrap(), None);
    assert!(!step.should_run(&self::scope(false)).unwrap());
    scope.finish("a", &json!({"list": "text"}));
    assert_eq!(
        step.items(&scope, 10).unwrap_err().to_string(),
        "node `b`, for_each: the value is not a list but a text; give a list such as NODE.pages"
    );
    scope.finish("a", &json!({}));
    assert_eq!(step.items(&scope, 10).unwrap_err().to_string(), "node `b`, for_each: `a.list` is undefined");
}

#[test]
fn an_error_names_node_key_and_name() {
    let plan = plan(
        "    - { id: a, component: T }\n    - { id: b, component: T, depends_on: [a], config: { deep: [{ prompt: \"x {{ a.nope }}\" }] } }\n",
    );
    let mut scope = scope(true);
    scope.finish("a", &json!({}));
    let error = plan.steps()[1].render(&scope).unwrap_err();
    assert_eq!(error.to_string(), "node `b`, config.deep[0].prompt: `a.nope` is undefined");
}

#[test]
fn output_and_file_name() {
    let plan = plan(
        "    - { id: a, component: T }\n    output: { source: a.output, filename: \"r_{on}_{{date}.md\" }\n"
            .replace("{{date}", "{date}")
            .as_str(),
    );
    let mut scope = Scope::new(json!({"on": true}).as_object().unwrap(), json!({"now": "2026-03-01T10:20:30Z"}));
    scope.finish("a", &json!({"x": 1}));
    assert_eq!(plan.output(&scope).unwrap(), Some(json!({"x": 1})));
    assert_eq!(plan.file_name(&scope).unwrap().unwrap(), "r_True_2026-03-01.md");
    scope.skip("a");
    assert!(plan.output(&scope).unwrap_err().to_string().contains("output.source"));
}

/// Thousands of runs a second are asked of the engine: a plan's share must be small.
#[test]
fn rendering_a_small_step_is_quick() {
    let plan = plan(
        "    - { id: a, component: T }\n    - { id: b, component: T, depends_on: [a], config: { p: \"Say {{ a.text }}\", m: \"{{ a.n }}\", k: 1 } }\n",
    );
    let started = std::time::Instant::now();
    for _ in 0..1_000 {
        let mut scope = scope(true);
        scope.finish("a", &json!({"text": "hello", "n": 3}));
        assert_eq!(plan.steps()[1].render(&scope).unwrap()["m"], json!(3));
    }
    // Unoptimised and on a busy machine; it takes about a tenth of this.
    assert!(started.elapsed().as_millis() < 2_000, "{:?}", started.elapsed());
}
