//! One agency's backlog and another's lone task, through real processes; and tickets that are lost.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use crate::{
    customer::Customer,
    faults::random::setting,
    stack::{Process, Stack, eventually},
};

const RECIPE: &str = r#"
recipe:
  id: question
  name: Question
  version: "1.0"
  workflow:
    nodes:
      - { id: ask, component: LLMProcessor, config: { model: scripted/scripted-slow-200, max_tokens: 20, prompt_template: Hello } }
"#;

/// How a lone task fared beside another agency's backlog.
struct Fared {
    /// From its submission to its start.
    waited: Duration,
    /// Of the other's that started meanwhile.
    overtaken_by: i64,
}

/// Gives an agency a backlog of `number` tasks, and when it is being worked off submits
/// one task of another agency.
async fn beside_a_backlog(stack: &Stack, number: i32) -> Fared {
    let (big, small) = (Customer::new(stack, "big").await, Customer::new(stack, "small").await);
    for customer in [&big, &small] {
        customer.publish(RECIPE).await;
    }
    big.submit(big.task("question", json!({}))).await;
    sqlx::query(
        "insert into task_queue (id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug, recipe_version,
                                 steps_total, priority)
         select gen_random_uuid(), t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id, t.recipe_slug,
                t.recipe_version, t.steps_total, 9
           from task_queue t, generate_series(2, $1)",
    )
    .bind(number)
    .execute(&stack.root)
    .await
    .unwrap();
    eventually("the backlog is being worked off", async || {
        (stack.count("select count(*) from task_queue where finished_at is not null").await >= 10).then_some(())
    })
    .await;
    let lone = small.submit(small.task("question", json!({}))).await;
    assert_eq!(small.finished(&lone).await["status"], "completed");
    let (waited, overtaken_by): (f64, i64) = sqlx::query_as(
        "select extract(epoch from l.started_at - l.created_at)::float8,
                (select count(*) from task_queue b
                  where b.agency_id <> l.agency_id and b.started_at between l.created_at and l.started_at)
           from task_queue l where l.id = $1::uuid",
    )
    .bind(&lone)
    .fetch_one(&stack.root)
    .await
    .unwrap();
    Fared { waited: Duration::from_secs_f64(waited), overtaken_by }
}

fn worker_of(stack: &Stack, concurrency: &str) -> Process {
    stack.worker_with(&[("TEAMAI_WORKER__CONCURRENCY", concurrency)])
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_lone_task_starts_within_a_few_task_times_of_another_agencys_thousand(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = worker_of(&stack, "4");
    let backlog = setting("TEAMAI_FAIRNESS_BACKLOG").map_or(1_000, |number| number.parse().expect("a number"));
    let fared = beside_a_backlog(&stack, backlog).await;
    println!("beside {backlog}: waited {:?}; {} of the other's started meanwhile", fared.waited, fared.overtaken_by);
    assert!(
        stack.count("select count(*) from task_queue where finished_at is null").await > 500,
        "a backlog all the while"
    );
    // Four places and a window of four: at most one ticket of each is before it.
    assert!(fared.overtaken_by <= 12, "{} others came first", fared.overtaken_by);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn no_more_run_at_once_than_the_agency_and_the_cookbook_allow(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    acme.publish(
        &RECIPE
            .replace("id: question", "id: of-cookbook")
            .replace("name: Question", "name: Q2\n  cookbook: seo-specialist-v1"),
    )
    .await;
    let _worker = stack.worker();
    let most_at_once = "select coalesce(max(n), 0) from (
        select (select count(*) from task_queue o where o.recipe_slug = t.recipe_slug
                   and o.started_at <= t.started_at and o.finished_at > t.started_at) as n from task_queue t) s";
    for (recipe, most) in [("question", 2), ("of-cookbook", 3)] {
        let limit = (recipe == "question").then_some(most);
        let settings = json!({"settings": {"max_concurrent_tasks": limit}});
        acme.patch("/agency", settings).await.expect(200);
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(acme.submit(acme.task(recipe, json!({}))).await);
        }
        for id in &ids {
            assert_eq!(acme.finished(id).await["status"], "completed");
        }
        assert_eq!(stack.count(most_at_once).await, most, "{recipe}");
        sqlx::query("delete from task_queue").execute(&root).await.unwrap();
    }
}

/// Tickets vanish, with Redis' memory or alone; nobody says so.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_lost_ticket_is_replaced_within_seconds(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(&RECIPE.replace("slow-200", "slow-1500")).await;
    let _worker = worker_of(&stack, "1");
    for command in [["FLUSHALL"].as_slice(), &["DEL", "{teamai}:active"]] {
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(acme.submit(acme.task("question", json!({}))).await);
        }
        let waiting = "select count(*) from task_queue where status = 'queued' and dispatched_at is not null";
        eventually("three have tickets, one runs", async || (stack.count(waiting).await == 3).then_some(())).await;
        stack.redis.command(command).await;
        let lost_at = Instant::now();
        let running = "select count(*) from task_queue where started_at is not null and finished_at is null";
        let done = "select count(*) from task_queue where finished_at is not null";
        let before = stack.count(done).await;
        eventually("the next one runs", async || {
            (stack.count(done).await > before && stack.count(running).await == 1).then_some(())
        })
        .await;
        // The one that ran took up to 1.5 s, the search up to 3, a new registration one.
        assert!(lost_at.elapsed() < Duration::from_secs(10), "{command:?}: {:?}", lost_at.elapsed());
        for id in &ids {
            assert_eq!(acme.finished(id).await["status"], "completed");
        }
    }
    assert_eq!(stack.count("select count(*) from task_queue where attempt <> 1").await, 0, "each ran once");
}
