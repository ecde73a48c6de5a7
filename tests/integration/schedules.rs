//! Schedules: each time makes one task, whoever is killed.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, items, text},
    stack::{Stack, eventually},
};

const NOBODY: &str = "0197f3c0-0000-7000-8000-000000000000";

/// Two nodes of no cost, and an input with bounds.
fn recipe(slug: &str) -> String {
    format!(
        r#"
recipe:
  id: {slug}
  name: {slug}
  version: "1.0"
  inputs: [{{ name: depth, type: integer, required: false, default: 1, range: [1, 3] }}]
  workflow:
    nodes:
      - {{ id: end, component: Transform, config: {{ value: "{{{{ inputs.depth }}}}" }} }}
"#
    )
}

async fn customer(stack: &Stack) -> Customer {
    let acme = Customer::new(stack, "acme").await;
    acme.publish(&recipe("nightly")).await;
    acme
}

fn schedule(acme: &Customer, cron: &str, missed: &str) -> Value {
    json!({"agent_instance_id": acme.agent, "recipe": "nightly", "cron": cron, "missed": missed, "tags": ["night"]})
}

async fn create(acme: &Customer, body: Value) -> String {
    text(&acme.post("/schedules", body).await.expect(201)["id"])
}

/// As if no worker had run for so long.
async fn missed(stack: &Stack, schedule: &str, minutes: i32) {
    let back =
        "update schedules set next_run_at = date_trunc('minute', now()) - make_interval(mins => $2), held_until = null
                 where id = $1::uuid";
    sqlx::query(back).bind(schedule).bind(minutes).execute(&stack.root).await.unwrap();
}

async fn caught_up(acme: &Customer, schedule: &str) -> Value {
    eventually("the schedule has caught up", async || {
        let shown = acme.get(&format!("/schedules/{schedule}")).await.expect(200);
        let next: chrono::DateTime<chrono::Utc> = text(&shown["next_run_at"]).parse().unwrap();
        (next > crate::fixture::now()).then_some(shown)
    })
    .await
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_time_makes_one_task_though_workers_are_killed(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = customer(&stack).await;
    let id = create(&acme, schedule(&acme, "* * * * *", "run_all")).await;
    missed(&stack, &id, 60).await;
    let workers = [stack.worker(), stack.worker()];
    let fires = "select count(*) from schedule_fires";
    eventually("it has begun", async || (stack.count(fires).await > 2).then_some(())).await;
    for worker in workers {
        worker.kill();
    }
    let _last = stack.worker();
    let shown = caught_up(&acme, &id).await;
    let times = stack.count(fires).await;
    assert!((61..=63).contains(&times), "{times} times");
    let tasks = stack.count("select count(*) from task_queue").await;
    assert_eq!(tasks, times, "one task for each time");
    let gap =
        "select count(*) from (select fire_at - lag(fire_at) over (order by fire_at) as gap from schedule_fires) g
                where gap <> interval '1 minute'";
    assert_eq!(stack.count(gap).await, 0, "none was left out");
    eventually("all are done", async || {
        (stack.count("select count(*) from task_queue where status = 'completed'").await >= tasks).then_some(())
    })
    .await;
    let task = acme.find(&text(&shown["last_task_id"])).await;
    assert_eq!((&task["tags"], &task["recipe"], &task["output"]), (&json!(["night"]), &json!("nightly"), &json!(1)));
    assert_eq!((&shown["failures"], &shown["last_error"]), (&json!(0), &json!(null)));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_was_missed_goes_by_the_policy(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = customer(&stack).await;
    let hourly = |missed: &str| schedule(&acme, "30 0 1 1 *", missed);
    let (skip, once) = (create(&acme, hourly("skip")).await, create(&acme, hourly("run_once")).await);
    for id in [&skip, &once] {
        // The first of January, two years ago.
        let back = "update schedules set next_run_at = next_run_at - interval '3 years' where id = $1::uuid";
        sqlx::query(back).bind(id).execute(&stack.root).await.unwrap();
    }
    let _worker = stack.worker();
    let (skipped, run) = (caught_up(&acme, &skip).await, caught_up(&acme, &once).await);
    assert_eq!((&skipped["last_run_at"], &skipped["last_task_id"]), (&json!(null), &json!(null)));
    assert_eq!(acme.finished(&text(&run["last_task_id"])).await["status"], "completed");
    assert_eq!(stack.count("select count(*) from task_queue").await, 1, "one for all that were missed");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn one_that_cannot_says_so_and_stops_no_other(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = customer(&stack).await;
    acme.publish(&recipe("retired")).await;
    let mut body = schedule(&acme, "* * * * *", "run_all");
    body["recipe"] = json!("retired");
    let (broken, sound) = (create(&acme, body).await, create(&acme, schedule(&acme, "* * * * *", "run_once")).await);
    sqlx::query("update recipes set status = 'retired' where slug = 'retired'").execute(&stack.root).await.unwrap();
    missed(&stack, &broken, 2).await;
    missed(&stack, &sound, 2).await;
    let _worker = stack.worker();
    let shown = caught_up(&acme, &broken).await;
    assert!(shown["failures"].as_i64().unwrap() >= 3, "{shown}");
    assert_eq!((&shown["failing"], &shown["enabled"]), (&json!(true), &json!(true)));
    assert!(text(&shown["last_error"]).contains("no such recipe"), "{shown}");
    let sound = caught_up(&acme, &sound).await;
    assert_eq!((&sound["failing"], &sound["last_error"]), (&json!(false), &json!(null)));
    acme.finished(&text(&sound["last_task_id"])).await;

    // Made good by its admin, it begins anew.
    let path = format!("/schedules/{broken}");
    let mended = acme.patch(&path, json!({"recipe": "nightly"})).await.expect(200);
    assert_eq!((&mended["failures"], &mended["failing"]), (&json!(0), &json!(false)));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_could_never_run_is_refused_when_it_is_made(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = customer(&stack).await;
    let with = |field: &str, value: Value| {
        let mut body = schedule(&acme, "0 9 * * MON-FRI", "skip");
        body[field] = value;
        body
    };
    for (field, value, named) in [
        ("cron", json!("every day"), "cron"),
        ("cron", json!("0 0 30 2 *"), "cron"),
        ("cron", json!("* * * * * *"), "cron"),
        ("time_zone", json!("Mars/Base"), "time_zone"),
        ("recipe", json!("nowhere"), "recipe"),
        ("version", json!("9.9"), "version"),
        ("inputs", json!({"depth": 4}), "inputs.depth"),
        ("inputs", json!({"deep": 1}), "inputs.deep"),
        ("agent_instance_id", json!(NOBODY), "agent_instance_id"),
        ("missed", json!("sometimes"), "missed"),
        ("priority", json!(10), "priority"),
        ("colour", json!("red"), "colour"),
    ] {
        acme.post("/schedules", with(field, value)).await.invalid(&[named]);
    }
    let made = acme.post("/schedules", with("time_zone", json!("Europe/Berlin"))).await;
    let location = made.header("location").unwrap().to_owned();
    let made = made.expect(201);
    assert_eq!(location, format!("/schedules/{}", text(&made["id"])));
    let runs = made["next_runs"].as_array().unwrap();
    assert_eq!((runs.len(), &runs[0]), (5, &made["next_run_at"]));
    acme.patch(&location, json!({"cron": "61 * * * *"})).await.invalid(&["cron"]);
    acme.patch(&location, json!({"inputs": {"depth": 0}})).await.invalid(&["inputs.depth"]);

    let off = acme.patch(&location, json!({"enabled": false})).await.expect(200);
    assert_eq!((&off["next_run_at"], &off["next_runs"]), (&json!(null), &json!([])));
    let on = acme.patch(&location, json!({"enabled": true, "subject": "client-7"})).await.expect(200);
    assert_eq!((&on["next_run_at"], &on["subject"]), (&made["next_run_at"], &json!("client-7")));
    let cleared = acme.patch(&location, json!({"subject": null})).await.expect(200);
    assert_eq!((&cleared["subject"], &cleared["cron"]), (&json!(null), &json!("0 9 * * MON-FRI")));
    assert_eq!(items(&acme.get("/schedules").await.expect(200)).len(), 1);
    acme.delete(&location).await.expect(204);
    acme.delete(&location).await.problem(404, "not_found");
    acme.get(&location).await.problem(404, "not_found");
}
