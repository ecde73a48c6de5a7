//! Dead tasks: listed, put back with what they finished, and accounted for at each end.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, items, of_kind, step, text},
    model::Model,
    stack::{Stack, eventually},
};

const RECIPE: &str = r#"
recipe:
  id: slow
  name: A slow question
  version: "1.0"
  workflow:
    nodes:
      - { id: first, component: Transform, config: { value: done } }
      - { id: ask, component: LLMProcessor, depends_on: [first], config: { model: openai/scripted-slow-1500, prompt_template: Hello } }
  compliance: { cost_per_unit: 0.50 }
"#;

/// As if it had been claimed for the last time and its worker had died.
async fn spent(stack: &Stack) {
    let spent = "update task_queue set attempt = 5, lease_until = least(lease_until, now()), dispatched_at = null
                  where finished_at is null";
    sqlx::query(spent).execute(&stack.root).await.unwrap();
}

fn executions(lines: &[Value]) -> Vec<(i64, &str)> {
    let of = |line: &&Value| {
        (line["occurrence"].as_i64().unwrap(), if line["status"] == "success" { "success" } else { "failed" })
    };
    of_kind(lines, "execution").iter().map(of).collect()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn they_go_back_with_their_steps_and_each_end_has_one_line(root: PgPool) {
    let model = Model::serve().await;
    let settings = [("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url()), ("TEAMAI_LEASE__SECONDS", "5")];
    let stack = Stack::start(&root, &settings).await;
    stack.price_of_scripted_openai().await;
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(RECIPE).await;
    let worker = stack.worker();
    let id = acme.submit(acme.task("slow", json!({}))).await;
    eventually("the model is asked", async || (model.requests().len() == 1).then_some(())).await;
    worker.kill();
    spent(&stack).await;
    let worker = stack.worker();
    assert_eq!(acme.finished(&id).await["error"]["code"], "claimed_too_often");
    let before = acme.steps(&id).await;
    assert_eq!(before.len(), 1);

    let dead = items(&acme.get("/queue/dead").await.expect(200));
    assert_eq!((dead.len(), &dead[0]["id"], &dead[0]["status"]), (1, &json!(id), &json!("dead")));
    worker.kill();
    let path = format!("/queue/dead/{id}/requeue");
    let back = acme.post(&path, json!({})).await.expect(200);
    assert_eq!((&back["status"], &back["attempt"], &back["error"]), (&json!("queued"), &json!(0), &json!(null)));
    assert_eq!(back["finished_at"], json!(null));
    acme.post(&path, json!({})).await.problem(409, "not_dead");
    assert!(items(&acme.get("/queue/dead").await.expect(200)).is_empty());

    // It dies once more, and the operator puts it back.
    spent(&stack).await;
    let _worker = stack.worker();
    assert_eq!(acme.finished(&id).await["status"], "dead");
    let wrong = stack.command(&["admin", "requeue", "0197f3c0-0000-7000-8000-000000000000"], &[]);
    assert_eq!(wrong.status.code(), Some(2), "{}", String::from_utf8_lossy(&wrong.stderr));
    let done = stack.command(&["admin", "requeue", "--all", "--json"], &[]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(serde_json::from_slice::<Value>(&done.stdout).unwrap(), json!({"requeued": [id]}));
    let task = acme.finished(&id).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("completed"), &json!(1)), "{task}");
    let after = acme.steps(&id).await;
    assert_eq!(step(&after, "first"), step(&before, "first"), "what was finished is not run again");

    let lines = acme.lines(&id).await;
    assert_eq!(executions(&lines), [(0, "failed"), (1, "failed"), (2, "success")], "{lines:#?}");
    let billed: Vec<&str> =
        of_kind(&lines, "execution").iter().filter_map(|line| line["billed_usd"].as_str()).collect();
    assert!(billed.is_empty() || billed.iter().filter(|usd| !usd.starts_with("0.00")).count() == 1, "{billed:?}");
    let calls: Vec<_> = of_kind(&lines, "llm").iter().map(|line| text(&line["status"])).collect();
    assert_eq!(calls, ["unknown", "success"]);
    add_up(&task, &lines);
    let broken = "select count(*) from audit_logs l where l.hash <> app.audit_hash(l)";
    assert_eq!(stack.count(broken).await, 0, "the chain holds");
    assert_eq!(stack.count("select count(*) from call_intents where state = 'open'").await, 0);
}
