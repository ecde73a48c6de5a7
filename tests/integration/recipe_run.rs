//! `teamai recipe run`: a file through the server that answers.

use std::process::{Command, Output};

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{customer::Customer, stack::Stack};

const RECIPE: &str = r#"
recipe:
  id: greeting
  name: Greeting
  version: "1.0.0"
  inputs:
    - { name: name, type: string }
    - { name: times, type: integer, required: false, default: 1 }
  workflow:
    nodes:
      - { id: greet, component: Transform, config: { value: "{% for _ in range(inputs.times) %}Hello {{ inputs.name }}. {% endfor %}" } }
    output: { type: data, format: text, source: greet.output }
"#;

/// In a directory of its own, with the token and the recipe in files.
fn run(stack: &Stack, token: &str, arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), format!("{token}\n")).unwrap();
    std::fs::write(dir.path().join("recipe.yaml"), RECIPE).unwrap();
    Command::new(env!("CARGO_BIN_EXE_teamai"))
        .args(["recipe", "run", "recipe.yaml", "--token-file", "token", "--api", &stack.base])
        .args(arguments)
        .env_clear()
        .current_dir(dir.path())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_file_is_published_and_run(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;

    let done = run(&stack, &acme.token, &["--input", "name=Mia", "--input", "times=2"]);
    assert!(done.status.success(), "{}", told(&done));
    let shown = String::from_utf8_lossy(&done.stdout);
    assert!(
        shown.contains("Hello Mia. Hello Mia.") && shown.contains("greet") && shown.contains("execution"),
        "{shown}"
    );
    assert!(told(&done).contains("published greeting 1.0.0"), "{}", told(&done));

    let again = run(&stack, &acme.token, &["--input", "name=Ben", "--agent", &acme.agent, "--json"]);
    let report: Value = serde_json::from_slice(&again.stdout).unwrap_or_else(|_| panic!("{}", told(&again)));
    assert_eq!(report["task"]["inputs"], json!({"name": "Ben", "times": 1}));
    assert_eq!(report["steps"].as_array().unwrap().len(), 1);

    for (arguments, code, says) in [
        (&["--input", "name"][..], 2, "NAME=VALUE"),
        (&[][..], 1, "name"),
        (&["--input", "name=Mia", "--agent", "nobody"][..], 1, "agent_instance_id"),
    ] {
        let refused = run(&stack, &acme.token, arguments);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {}", told(&refused));
        assert!(told(&refused).contains(says), "{arguments:?}: {}", told(&refused));
    }
    let stranger = run(&stack, "tak_nobody", &["--input", "name=Mia"]);
    assert_eq!(stranger.status.code(), Some(1));
    assert!(told(&stranger).contains("401"), "{}", told(&stranger));
}
