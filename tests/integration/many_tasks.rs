//! Many tasks at once through one worker.

use futures::{StreamExt, stream};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    customer::Customer,
    stack::{Stack, eventually},
};

const TASKS: usize = 200;

const RECIPE: &str = r#"
recipe:
  id: three-steps
  name: Three steps
  version: "1.0"
  inputs: [{ name: topic, type: string }]
  workflow:
    nodes:
      - { id: words, component: Transform, config: { value: "{{ inputs.topic | upper }}" } }
      - { id: ask, component: LLMProcessor, depends_on: [words], config: { prompt_template: "About {{ words.output }}", max_tokens: 50 } }
      - { id: end, component: Transform, depends_on: [ask], config: { value: { said: "{{ ask.content }}" } } }
  compliance: { cost_per_unit: 0.01 }
"#;

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn all_complete_with_one_execution_line_each_in_a_whole_chain(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    stream::iter(0..TASKS)
        .map(|n| acme.submit(acme.task("three-steps", json!({"topic": format!("topic {n}")}))))
        .buffer_unordered(32)
        .collect::<Vec<_>>()
        .await;
    eventually("all tasks are over", async || {
        (stack.count("select count(*) from task_queue where finished_at is null").await == 0).then_some(())
    })
    .await;
    let tasks = i64::try_from(TASKS).unwrap();
    assert_eq!(stack.count("select count(*) from task_queue where status = 'completed' and attempt = 1").await, tasks);
    assert_eq!(stack.count("select count(*) from task_steps where status = 'completed'").await, 3 * tasks);
    for kind in ["llm", "execution"] {
        let (lines, of_tasks): (i64, i64) = sqlx::query_as(
            "select count(*), count(distinct task_id) from audit_logs where kind = $1 and status = 'success'",
        )
        .bind(kind)
        .fetch_one(&root)
        .await
        .unwrap();
        assert_eq!((lines, of_tasks), (tasks, tasks), "{kind}");
    }
    let totals = "select count(*) from task_queue t
                   where t.tokens_used <> (select sum(a.tokens_used) from audit_logs a where a.task_id = t.id)
                      or t.cost_usd <> (select sum(a.cost_usd) from audit_logs a where a.task_id = t.id)";
    assert_eq!(stack.count(totals).await, 0, "totals are the sums of the lines");
    // Each line's hash is over its content and the hash before it, without a gap.
    let broken = "select count(*) from (
                    select a.*, lag(a.hash, 1, '\\x') over (order by a.seq) as before,
                           row_number() over (order by a.seq) as nth from audit_logs a) l
                   where l.prev_hash <> l.before or l.seq <> l.nth
                      or l.hash <> (select app.audit_hash(a) from audit_logs a where a.id = l.id)";
    assert_eq!(stack.count(broken).await, 0);
    assert_eq!(stack.count("select seq from ledger_heads").await, 2 * tasks);
}
