//! What happens to a task, in order and complete, for whoever follows it.

use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::{
    customer::{Customer, days_from_now, text},
    fixture::{self, id},
    model::Model,
    stack::Stack,
};

const RECIPE: &str = r#"
recipe:
  id: told
  name: Told
  version: "1.0"
  workflow:
    nodes:
      - { id: first, component: Transform, config: { value: [a, b] } }
      - { id: each, component: Transform, depends_on: [first], for_each: first.output, config: { value: "{{ item }}" } }
      - { id: never, component: Transform, depends_on: [each], when: "false", config: { value: x } }
      - { id: end, component: Transform, depends_on: [never], config: { value: done } }
"#;

const ASKING: &str = r#"
recipe:
  id: asking
  name: Asking
  version: "1.0"
  workflow:
    nodes:
      - id: ask
        component: LLMProcessor
        retry: { initial_delay: 100ms }
        config: { model: openai/scripted-fail-1-then-ok, prompt_template: Hello }
"#;

/// An event as the stream told it, and under which id.
#[derive(Debug, Clone)]
struct Told {
    id: String,
    kind: String,
    data: Value,
}

/// The events of a stream. Comments are left out.
fn events(answer: reqwest::Response) -> impl Stream<Item = Told> {
    let lines = (answer.bytes_stream(), String::new());
    let blocks = futures::stream::unfold(lines, |(mut bytes, mut text)| async move {
        loop {
            if let Some(end) = text.find("\n\n") {
                let block: String = text.drain(..end + 2).collect();
                return Some((block, (bytes, text)));
            }
            text.push_str(std::str::from_utf8(&bytes.next().await?.ok()?).unwrap());
        }
    });
    blocks.filter_map(async |block| {
        let field =
            |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        let data = serde_json::from_str(&field("data:")?).unwrap();
        Some(Told { id: field("id:").unwrap(), kind: field("event:").unwrap(), data })
    })
}

async fn follow(customer: &Customer, base: Option<&str>, task: &str, after: Option<&str>) -> reqwest::Response {
    let path = format!("/tasks/{task}/events");
    let mut request = match base {
        Some(base) => reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .get(format!("{base}{path}"))
            .bearer_auth(&customer.token),
        None => customer.request(Method::GET, &path),
    };
    if let Some(id) = after {
        request = request.header("Last-Event-ID", id);
    }
    request.send().await.unwrap()
}

/// Everything to the end of the stream, which has to come.
async fn all(answer: reqwest::Response) -> Vec<Told> {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let told = tokio::time::timeout(Duration::from_mins(1), events(answer).collect::<Vec<_>>()).await;
    told.expect("the stream ends with the task")
}

fn kinds(told: &[Told]) -> Vec<&str> {
    told.iter().map(|event| event.kind.as_str()).collect()
}

/// A step that asks somebody says so when it does, once however often it is tried.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_step_with_calls_is_told_from_its_start(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(ASKING).await;
    let task = acme.complete(acme.task("asking", json!({}))).await;
    assert_eq!(model.requests().len(), 2, "two tries");
    let told = all(follow(&acme, None, task["id"].as_str().unwrap(), None).await).await;
    assert_eq!(kinds(&told), ["task.queued", "task.started", "step.started", "step.completed", "task.completed"]);
    assert_eq!(told[2].data["node_id"], "ask");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_run_is_told_through_another_api_and_again_from_any_place(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let (_other, base) = stack.another_api().await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let task = acme.submit(acme.task("told", json!({}))).await;
    // Opened before anything runs: what comes, comes as it happens.
    let mut live = Box::pin(events(follow(&acme, Some(&base), &task, None).await));
    let queued = live.next().await.unwrap();
    assert_eq!(queued.kind, "task.queued");
    let _worker = stack.worker();
    let rest = tokio::time::timeout(Duration::from_mins(1), live.collect::<Vec<_>>()).await.expect("it ends");
    let told: Vec<Told> = std::iter::once(queued).chain(rest).collect();
    let expected = [
        "task.queued",
        "task.started",
        "step.completed",
        "step.completed",
        "step.completed",
        "step.skipped",
        "step.completed",
        "task.completed",
    ];
    assert_eq!(kinds(&told), expected);
    let nodes: Vec<_> = told.iter().filter_map(|event| event.data["node_id"].as_str()).collect();
    assert_eq!(nodes, ["first", "each", "each", "never", "end"]);
    for event in &told {
        assert_eq!((&event.data["id"], &event.data["type"]), (&json!(event.id), &json!(event.kind)));
        assert_eq!(event.data["task_id"], task.as_str());
        assert!(!event.data.to_string().contains("done"), "an output is in {event:?}");
    }
    let numbers: Vec<i64> = told.iter().map(|event| event.id.strip_prefix("evt_").unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");

    // Through the first API, and from every place.
    for (at, event) in told.iter().enumerate() {
        let again = follow(&acme, None, &task, Some(&event.id)).await;
        if at + 1 == told.len() {
            assert_eq!(again.status(), StatusCode::NO_CONTENT, "nothing is left, and nobody need come again");
        } else {
            let ids: Vec<String> = all(again).await.into_iter().map(|event| event.id).collect();
            assert_eq!(ids, told[at + 1..].iter().map(|event| event.id.clone()).collect::<Vec<_>>());
        }
    }
    assert_eq!(all(follow(&acme, None, &task, None).await).await.len(), told.len());
    let wrong = follow(&acme, None, &task, Some("yesterday")).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().await.unwrap().contains("Last-Event-ID"));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_stream_ends_soon_after_its_key_was_revoked(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let mut acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let task = acme.submit(acme.task("told", json!({}))).await;
    let key = acme.post("/api-keys", json!({"name": "a screen", "scopes": ["tasks:read"]})).await.expect(201);
    let admin = std::mem::replace(&mut acme.token, text(&key["key"]));
    let mut stream = Box::pin(events(follow(&acme, None, &task, None).await));
    assert_eq!(stream.next().await.unwrap().kind, "task.queued");
    acme.token = admin;
    acme.delete(&format!("/api-keys/{}", text(&key["api_key"]["id"]))).await.expect(204);
    let revoked_at = Instant::now();
    let end = tokio::time::timeout(Duration::from_secs(30), stream.next()).await.expect("the stream ends");
    assert!(end.is_none(), "{end:?}");
    assert!(revoked_at.elapsed() < Duration::from_secs(5), "after {:?}", revoked_at.elapsed());
}

/// What the triggers wrote of a task.
async fn noted(root: &PgPool, task: Uuid) -> Vec<(String, Option<i32>)> {
    let rows = sqlx::query("select type, attempt from task_events where task_id = $1 order by seq").bind(task);
    rows.fetch_all(root).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn each_claim_and_change_is_told_once_and_a_heartbeat_is_not(root: PgPool) {
    let (tenant, task) = (fixture::tenant(&root).await, id());
    sqlx::query(
        "insert into task_queue (id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug, recipe_version,
                                 steps_total)
         values ($1, $2, $3, $4, $5, 'audit', '1.0.0', 1)",
    )
    .bind(task)
    .bind(tenant.agency)
    .bind(tenant.team)
    .bind(tenant.agent)
    .bind(tenant.recipe)
    .execute(&root)
    .await
    .unwrap();
    let run = async |sql: &str| {
        let sql = sql.replace("TASK", &format!("'{task}'"));
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&root).await.unwrap();
    };
    let claim = "select * from app.claim_tasks(array[TASK]::uuid[], 'w', 60, 9, null, 9)";
    run(claim).await;
    run("select * from app.heartbeat(array[TASK]::uuid[], array[1::bigint], 60)").await;
    run("update task_queue set lease_until = now() - interval '1 s' where id = TASK").await;
    // A worker was lost, and another takes over.
    run(claim).await;
    run("select * from app.release_tasks(array[TASK]::uuid[], array[2::bigint])").await;
    run(claim).await;
    for status in ["waiting", "queued", "parked", "queued"] {
        run(&format!("update task_queue set status = '{status}' where id = TASK")).await;
    }
    run("update task_queue set status = 'failed', finished_at = now(), error = '{\"code\": \"x\"}' where id = TASK")
        .await;
    let expected = [
        ("task.queued", 0),
        ("task.started", 1),
        ("task.started", 2),
        ("task.queued", 1),
        ("task.started", 2),
        ("task.waiting", 2),
        ("task.queued", 2),
        ("task.parked", 2),
        ("task.queued", 2),
        ("task.failed", 2),
    ];
    assert_eq!(noted(&root, task).await, expected.map(|(kind, attempt)| (kind.to_owned(), Some(attempt))));
    for (kind, _) in noted(&root, task).await {
        assert!(kind.parse::<teamai::events::EventKind>().is_ok(), "{kind}: name it in src/events/kind.rs");
    }
}

/// Every name that a status of the database leads to is one that people can ask for.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_status_has_its_event(root: PgPool) {
    for (table, prefix) in [("task_queue", "task"), ("task_steps", "step")] {
        let checks: Vec<String> = sqlx::query_scalar(
            "select pg_get_constraintdef(oid) from pg_constraint
              where conrelid = $1::regclass and contype = 'c' and conname like '%status_check'",
        )
        .bind(table)
        .fetch_all(&root)
        .await
        .unwrap();
        assert!(!checks.is_empty(), "{table}");
        let statuses = checks.iter().flat_map(|check| check.split('\'').skip(1).step_by(2));
        for status in statuses {
            let kind = format!("{prefix}.{}", if status == "running" { "started" } else { status });
            assert!(kind.parse::<teamai::events::EventKind>().is_ok(), "{kind}: name it in src/events/kind.rs");
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn partitions_are_made_ahead_dropped_when_old_and_nobodys_to_read(root: PgPool) {
    let run = async |sql: &str| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&root).await.unwrap();
    };
    let partitions = async || -> Vec<String> {
        let names = sqlx::query_scalar(
            "select inhrelid::regclass::text from pg_inherits where inhparent = 'task_events'::regclass order by 1",
        );
        names.fetch_all(&root).await.unwrap()
    };
    let ahead = partitions().await.len();
    assert_eq!(ahead, 5, "the rest, today and three days: {:?}", partitions().await);
    run(
        "set role teamai_definer;
         create table app.task_events_20200101 partition of task_events
           for values from ('2020-01-01 00:00:00Z') to ('2020-01-02 00:00:00Z');
         reset role;
         insert into task_events (agency_id, task_id, type, created_at)
         select gen_random_uuid(), gen_random_uuid(), 'task.queued', at
           from unnest('{2020-01-01 12:00:00Z, 2019-01-01 12:00:00Z}'::timestamptz[]) at;
         insert into task_events (agency_id, task_id, type) values (gen_random_uuid(), gen_random_uuid(), 'task.dead')",
    )
    .await;
    // A day that nobody made a partition for, and that has events already, stays in the rest.
    let tomorrow = format!("app.task_events_{}", (fixture::now() + chrono::TimeDelta::days(1)).format("%Y%m%d"));
    run(&format!("drop table {tomorrow}")).await;
    run("insert into task_events (agency_id, task_id, type, created_at)
         values (gen_random_uuid(), gen_random_uuid(), 'task.parked', now() + interval '1 day')")
    .await;
    run("set role teamai_worker; select app.keep_events(30); select app.keep_events(30); reset role").await;
    assert_eq!(partitions().await.len(), ahead - 1, "{:?}", partitions().await);
    let left = sqlx::query_scalar("select type from task_events order by type");
    let left: Vec<String> = left.fetch_all(&root).await.unwrap();
    assert_eq!(left, ["task.dead", "task.parked"]);
    let readable: i64 = sqlx::query_scalar(
        "select count(*) from pg_class c, unnest('{teamai_api,teamai_worker}'::text[]) role
          where c.relnamespace = 'app'::regnamespace and c.relkind = 'r'
            and has_table_privilege(role, c.oid, 'select, insert, update, delete')",
    )
    .fetch_one(&root)
    .await
    .unwrap();
    assert_eq!(readable, 0, "a partition is read around row-level security");
}

/// The worker tells of a run that fails why, and of a cancelled one that it was.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn how_a_task_ended_is_its_last_event(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(&RECIPE.replace("config: { value: done }", "config: { value: \"{{ 1 // 0 }}\" }")).await;
    let mut later = acme.task("told", json!({}));
    later["run_at"] = days_from_now(300);
    let cancelled = acme.submit(later).await;
    let waiting = tokio::spawn(all(follow(&acme, None, &cancelled, None).await));
    acme.post(&format!("/tasks/{cancelled}/cancel"), json!({})).await.expect(200);
    assert_eq!(kinds(&waiting.await.unwrap()), ["task.queued", "task.cancelled"]);

    let _worker = stack.worker();
    let failed = acme.submit(acme.task("told", json!({}))).await;
    let told = all(follow(&acme, None, &failed, None).await).await;
    let task = acme.find(&failed).await;
    let [.., step, last] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((step.kind.as_str(), last.kind.as_str()), ("step.failed", "task.failed"));
    assert_eq!(last.data["error_code"], task["error"]["code"], "{task}");
}
