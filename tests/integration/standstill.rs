//! Probes tell of work that does not move, and of nothing that a tenant holds back.

use std::time::Duration;

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use teamai::{
    db::lane::Flush,
    tasks::{submit::submission::SubmitFlush, workers::work_stands},
};

use crate::{
    customer::{Customer, SMALL},
    fixture,
    stack::{Stack, eventually},
};

/// A task that waits since two minutes, in the backlog or with a ticket.
const BACKLOG: &str = "update task_queue set run_at = now() - interval '2 minutes', dispatched_at = null";
const TICKET: &str = "update task_queue set run_at = now() - interval '2 minutes', dispatched_at = now()";
const LEASE_OVER: &str = "update task_queue set status = 'running', attempt = 1, epoch = 1, worker = 'gone',
  dispatched_at = now(), lease_until = now() - interval '2 minutes'";
const WORKER: &str = "insert into workers (name, concurrency) values ('w', 2)";

/// What is there, and whether its work stands still.
const CASES: &[(&str, &[&str], bool)] = &[
    ("a task that nobody dispatches", &[BACKLOG, WORKER], true),
    ("a ticket that nobody takes", &[TICKET, WORKER], true),
    ("a run that nobody takes up again", &[LEASE_OVER, WORKER], true),
    ("no worker at all", &[BACKLOG], true),
    (
        "a worker that has gone",
        &[TICKET, WORKER, "update workers set seen_at = now() - interval '1 minute', running = 2"],
        true,
    ),
    (
        "a claim that was long ago",
        &[TICKET, WORKER, "update workers set claimed_at = now() - interval '2 minutes'"],
        true,
    ),
    ("a task that has just come", &[WORKER], false),
    ("a claim a moment ago", &[TICKET, WORKER, "update workers set claimed_at = now() - interval '10 seconds'"], false),
    ("no place", &[TICKET, WORKER, "update workers set running = 2"], false),
    (
        "one that waits for something else",
        &["update task_queue set run_at = now() - interval '2 minutes', status = 'waiting'", WORKER],
        false,
    ),
    (
        "one for later",
        &["update task_queue set run_at = now() + interval '1 minute', dispatched_at = null", WORKER],
        false,
    ),
    (
        "an agency that paused its own",
        &[BACKLOG, WORKER, "insert into queue_pauses (id, agency_id) select gen_random_uuid(), id from agencies"],
        false,
    ),
    (
        "an agency at its limit",
        &[
            BACKLOG,
            WORKER,
            "update task_queue set status = 'running', attempt = 1, epoch = 1, worker = 'w', dispatched_at = now(),
               lease_until = now() + interval '1 minute' where id = (select id from task_queue limit 1)",
        ],
        false,
    ),
];

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn work_stands_where_it_could_run_and_is_not_claimed(root: PgPool) {
    let tenant = fixture::tenant(&root).await;
    let pools = [fixture::as_role(&root, "teamai_api").await, fixture::as_role(&root, "teamai_worker").await];
    assert!(!work_stands(&pools[0], 60).await.unwrap(), "there is nothing");
    for (what, before, stands) in CASES {
        sqlx::raw_sql("delete from queue_pauses; delete from workers; delete from task_queue")
            .execute(&root)
            .await
            .unwrap();
        let batch = [vec![fixture::submission(tenant)], vec![fixture::submission(tenant)]];
        SubmitFlush::new(pools[0].clone()).flush(&batch).await.unwrap();
        for statement in *before {
            sqlx::query(AssertSqlSafe(*statement)).execute(&root).await.unwrap();
        }
        for pool in &pools {
            assert_eq!(work_stands(pool, 60).await.unwrap(), *stands, "{what}");
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_probes_of_api_and_worker_tell_of_it_until_work_goes_on(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(SMALL).await;
    let task = acme.submit(acme.task("small", json!({}))).await;
    let readyz = async || {
        let answer = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
        let answer = answer.get(format!("{}/readyz", stack.base)).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    assert_eq!(readyz().await.0, 200, "it has just come");
    assert!(stack.command(&["healthcheck", "--servers"], &[]).status.success());

    sqlx::query(BACKLOG).execute(&root).await.unwrap();
    let told = eventually("the API tells", async || {
        let (status, told) = readyz().await;
        (status == 503 && told["checks"]["work"].as_str().unwrap().contains("no worker claims any")).then_some(told)
    })
    .await;
    assert_eq!(told["checks"]["postgres"], "ok");
    assert!(!told.to_string().contains(&acme.agency), "whose it is, is nobody's business");
    let probe = stack.command(&["healthcheck", "--servers"], &[]);
    assert!(
        !probe.status.success() && String::from_utf8_lossy(&probe.stderr).contains("no worker claims any"),
        "{probe:?}"
    );

    let _worker = stack.worker();
    assert_eq!(acme.finished(&task).await["status"], "completed");
    eventually("the API is content", async || (readyz().await.0 == 200).then_some(())).await;
    assert!(stack.command(&["healthcheck", "--servers"], &[]).status.success());

    // While a worker is there and claims, what waits is old and moves all the same.
    sqlx::query("update workers set running = 0, claimed_at = null").execute(&root).await.unwrap();
    let next = acme.submit(acme.task("small", json!({}))).await;
    assert_eq!(acme.finished(&next).await["status"], "completed");
    assert_eq!(stack.count("select count(*) from workers where claimed_at > now() - interval '1 minute'").await, 1);
}
