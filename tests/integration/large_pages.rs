//! Lists of what is large: their pages end early, nothing is left out, and an answer has a bound.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, SMALL},
    stack::Stack,
};

const MIB: usize = 1024 * 1024;

/// All items, page by page, with the bytes of the largest answer.
async fn all(of: &Customer, path: &str) -> (Vec<Value>, usize, usize) {
    let (mut items, mut largest, mut pages, mut cursor) = (Vec::new(), 0, 0, String::new());
    loop {
        let reply = of.get(&format!("{path}{cursor}")).await;
        let mut page = reply.expect(200);
        largest = largest.max(page.to_string().len());
        pages += 1;
        let Value::Array(found) = page["items"].take() else { panic!("no list") };
        assert!(!found.is_empty() && pages < 100);
        items.extend(found);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (items, largest, pages),
        }
    }
}

async fn done(customer: &Customer) -> String {
    let task = customer.complete(customer.task("small", json!({}))).await;
    task["id"].as_str().unwrap().to_owned()
}

async fn sql(root: &PgPool, statement: &'static str, task: &str) {
    let id: uuid::Uuid = task.parse().unwrap();
    sqlx::query(statement).bind(id).execute(root).await.unwrap();
}

/// Half of the outputs shrink to nothing where they are stored, and are as long when they are read.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn tasks_come_in_pages_that_end_early(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let customer = Customer::new(&stack, "large").await;
    customer.publish(SMALL).await;
    let mut ids = Vec::new();
    for n in 0..8 {
        let id = done(&customer).await;
        let (same, other) = (
            "update task_queue set output = jsonb_set(output, '{value}', to_jsonb(repeat('same ', 800000))) where id = $1",
            "update task_queue set output = jsonb_set(output, '{value}',
                    (select to_jsonb(string_agg(md5(n::text), '')) from generate_series(1, 125000) n)) where id = $1",
        );
        sql(&root, if n % 2 == 0 { same } else { other }, &id).await;
        ids.insert(0, id);
    }
    ids.insert(0, done(&customer).await);

    let (tasks, largest, pages) = all(&customer, "/tasks?limit=100").await;
    let found: Vec<&str> = tasks.iter().map(|task| task["id"].as_str().unwrap()).collect();
    assert_eq!(found, ids);
    assert!(
        tasks[1..].iter().all(|task| task["output"].as_str().unwrap().len() == 4_000_000),
        "an output is not whole"
    );
    assert_eq!(tasks[0]["output"], "done");
    assert!(largest < 13 * MIB && pages == 3, "{pages} pages of at most {largest} bytes");
    let (few, _, pages) = all(&customer, "/tasks?limit=1").await;
    assert_eq!((few, pages), (tasks, ids.len()));

    let task = customer.get(&format!("/tasks/{}", ids[1])).await.expect(200);
    assert_eq!(task["output"].as_str().unwrap().len(), 4_000_000);
    // Read by turns, and none is refused for it.
    let paths: Vec<String> = ids[1..7].iter().map(|id| format!("/tasks/{id}/output")).collect();
    for file in futures::future::join_all(paths.iter().map(|path| customer.get(path))).await {
        assert_eq!((file.status, file.text.len()), (200, 4_000_000));
        assert_eq!(file.headers["content-type"], "text/plain; charset=utf-8");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn steps_come_in_pages_that_end_early(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let customer = Customer::new(&stack, "large").await;
    customer.publish(SMALL).await;
    let id = done(&customer).await;
    // In the order of their numbers by their times, of which each two are the same.
    sql(
        &root,
        "insert into task_steps (task_id, agency_id, node_id, occurrence, status, output, started_at, finished_at)
         select task_id, agency_id, 'many', n, 'completed',
                case when n % 300 = 7 then to_jsonb(repeat('same ', 800000)) else to_jsonb(n) end,
                started_at, finished_at + make_interval(secs => (n + 1) / 2)
           from task_steps, generate_series(1, 1500) n where task_id = $1",
        &id,
    )
    .await;
    let (steps, largest, pages) = all(&customer, &format!("/tasks/{id}/steps?")).await;
    let numbers: Vec<i64> = steps.iter().map(|step| step["occurrence"].as_i64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..=1500), "{numbers:.20?}");
    for (n, step) in steps.iter().enumerate().skip(1) {
        let whole =
            if n % 300 == 7 { step["output"].as_str().unwrap().len() == 4_000_000 } else { step["output"] == n };
        assert!(whole, "step {n} is not whole");
    }
    assert!(largest < 13 * MIB && pages == 2, "{pages} pages of at most {largest} bytes");

    let steps = format!("/tasks/{id}/steps");
    customer.get(&format!("{steps}?limit=1001")).await.problem(422, "invalid_request");
    for cursor in [
        "x",
        "",
        "e30",
        "bnVsbA",
        "eyJmaW5pc2hlZF9hdCI6IisyNjAwMDAtMDEtMDFUMDA6MDA6MDBaIiwibm9kZV9pZCI6IiIsIm9jY3VycmVuY2UiOjB9",
    ] {
        let problem = customer.get(&format!("{steps}?cursor={cursor}")).await.problem(422, "invalid_request");
        assert!(problem.to_string().contains("next_cursor"), "{cursor}: {problem}");
    }
}
