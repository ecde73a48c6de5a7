//! Many tasks at once: all are taken or none, and a cookbook's monthly limit.

use serde_json::{Value, json};
use sqlx::PgPool;
use teamai::{
    db::lane::Flush,
    tasks::submit::submission::{Submission, SubmitFlush, Written},
};
use uuid::Uuid;

use crate::{
    customer::{Customer, items},
    fixture::{self, Tenant, id, submission},
    stack::Stack,
};

async fn count(owner: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(owner).await.unwrap()
}

async fn api(owner: &PgPool) -> SubmitFlush {
    SubmitFlush::new(fixture::as_role(owner, "teamai_api").await)
}

/// A group of so many.
fn group(tenant: Tenant, tasks: usize) -> Vec<Submission> {
    let mut group: Vec<_> = (0..tasks).map(|_| submission(tenant)).collect();
    let group_id = group[0].id;
    for one in &mut group {
        one.group_id = group_id;
    }
    group
}

fn created(written: &[Written]) -> bool {
    written.iter().all(|one| matches!(one, Written::Created { .. }))
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_group_is_written_whole_or_not_at_all_and_its_neighbours_are_not_touched(owner: PgPool) {
    let (tenant, other) = (fixture::tenant(&owner).await, fixture::tenant(&owner).await);
    let api = api(&owner).await;
    let mut wrong = group(tenant, 3);
    wrong[1].agent_instance_id = other.agent;
    let answers = api.flush(&[group(tenant, 2), wrong, group(other, 1)]).await.unwrap();
    assert!(created(&answers[0]) && created(&answers[2]), "{answers:?}");
    assert_eq!(answers[1], [Written::RefusedWithGroup, Written::AgentUnknown, Written::RefusedWithGroup]);
    assert_eq!(count(&owner, "select count(*) from task_queue").await, 3);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn groups_beyond_one_statement_are_answered_in_their_order(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let api = api(&owner).await;
    let batch = [group(tenant, 700), group(tenant, 700), group(tenant, 1)];
    let answers = api.flush(&batch).await.unwrap();
    assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [700, 700, 1]);
    assert!(answers.iter().all(|group| created(group)));
    // repeated, as after a lost answer
    assert_eq!(api.flush(&batch).await.unwrap(), answers);
    assert_eq!(count(&owner, "select count(*) from task_queue").await, 1_401);
}

/// A cookbook of the tenant's own.
async fn cookbook(owner: &PgPool, tenant: Tenant) -> Uuid {
    let cookbook = id();
    sqlx::query(
        "insert into cookbooks (id, agency_id, agent_role_id, slug, name, version, document, content_hash)
         select $1, agency_id, agent_role_id, 'book', 'Book', '1.0.0', '{}', sha256('b') from agent_instances where id = $2",
    )
    .bind(cookbook)
    .bind(tenant.agent)
    .execute(owner)
    .await
    .unwrap();
    cookbook
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_monthly_limit_is_never_passed_and_only_what_was_taken_counts(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let api = api(&owner).await;
    let cookbook = cookbook(&owner, tenant).await;
    let limited = |tasks| {
        let mut group = group(tenant, tasks);
        for one in &mut group {
            (one.cookbook_id, one.monthly_limit) = (Some(cookbook), Some(5));
        }
        group
    };
    let mut unknown = limited(2);
    unknown[0].agent_instance_id = id();
    let mut keyed = limited(2);
    for one in &mut keyed {
        (one.idempotency_key, one.request_hash) = (Some("k".into()), Some(vec![1; 32]));
    }
    let batch = [unknown, limited(3), limited(4), keyed, limited(1), group(tenant, 1)];
    let answers = api.flush(&batch).await.unwrap();
    assert_eq!(answers[0], [Written::AgentUnknown, Written::RefusedWithGroup], "an unknown agent takes no room");
    assert!(created(&answers[1]) && created(&answers[3]) && created(&answers[5]), "{answers:?}");
    assert_eq!(answers[2], vec![Written::OverMonthlyLimit; 4], "what does not fit leaves room for what does");
    assert_eq!(answers[4], [Written::OverMonthlyLimit]);
    assert_eq!(count(&owner, "select used from monthly_executions").await, 5);

    assert_eq!(api.flush(&batch[1..2]).await.unwrap(), answers[1..2], "the same again is no other execution");
    let mut replayed = limited(2);
    for (one, first) in replayed.iter_mut().zip(&batch[3]) {
        (one.idempotency_key, one.request_hash) = (first.idempotency_key.clone(), first.request_hash.clone());
    }
    assert_eq!(api.flush(&[replayed]).await.unwrap(), [[Written::KeyTaken, Written::KeyTaken]]);
    assert_eq!(count(&owner, "select used from monthly_executions").await, 5);
    assert_eq!(count(&owner, "select count(*) from task_queue").await, 6);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn two_processes_at_once_stay_within_a_monthly_limit(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let cookbook = cookbook(&owner, tenant).await;
    let processes = [api(&owner).await, api(&owner).await];
    let submissions = (0..40).map(|n| {
        let process = &processes[n % 2];
        let one = Submission { cookbook_id: Some(cookbook), monthly_limit: Some(25), ..submission(tenant) };
        async move { process.flush(&[vec![one]]).await.unwrap().concat() }
    });
    let answers = futures::future::join_all(submissions).await.concat();
    assert_eq!(answers.iter().filter(|one| matches!(one, Written::Created { .. })).count(), 25);
    assert_eq!(count(&owner, "select count(*) from task_queue").await, 25);
}

const ECHO: &str = r#"
recipe:
  id: echo
  name: Echo
  version: "1.0"
  inputs: [{ name: word, type: string }]
  workflow:
    nodes: [{ id: say, component: Transform, config: { value: "{{ inputs.word }}" } }]
"#;

async fn batch(customer: &Customer, tasks: &[Value], key: &str) -> crate::support::Reply {
    customer.post_keyed("/tasks/batch", key, &json!({"tasks": tasks})).await
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_batch_runs_and_is_replayed_with_its_key(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(ECHO).await;
    let task = |n: u8| {
        let mut task = acme.task("echo", json!({"word": "good"}));
        task["tags"] = json!([format!("n{n}")]);
        task
    };
    let tasks = [task(0), task(1), task(2)];
    let first = batch(&acme, &tasks, "one").await.expect(202);
    let made = items(&first);
    let tags: Vec<_> = made.iter().map(|task| task["tags"][0].as_str().unwrap()).collect();
    assert_eq!(tags, ["n0", "n1", "n2"]);
    for task in &made {
        assert_eq!(acme.finished(task["id"].as_str().unwrap()).await["status"], "completed");
    }
    assert_eq!(batch(&acme, &tasks, "one").await.expect(202), first, "as it was answered then");
    batch(&acme, &tasks[..2], "one").await.problem(422, "idempotency_key_reused");
    acme.post_keyed("/tasks", "one", &tasks[0]).await.problem(422, "idempotency_key_reused");
    assert_eq!(stack.count("select count(*) from task_queue").await, 3);
    assert_eq!(stack.count("select count(*) from stored_answers").await, 0, "the key is kept with the tasks alone");
}

/// Key and tasks are written in one commit, so that none is ever found half done.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn many_batches_at_once_with_one_key_are_one(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(ECHO).await;
    let (tasks, others) =
        (vec![acme.task("echo", json!({"word": "good"})); 3], [acme.task("echo", json!({"word": "b"}))]);
    let same = futures::future::join_all((0..8).map(|_| batch(&acme, &tasks, "one")));
    let (same, other) = futures::future::join(same, batch(&acme, &others, "one")).await;
    let won = if other.status == 202 { 1 } else { 3 };
    assert_eq!(stack.count("select count(*) from task_queue").await, won);
    let mut answers = Vec::new();
    for reply in same {
        if won == 3 {
            answers.push(reply.expect(202));
        } else {
            reply.problem(422, "idempotency_key_reused");
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    if won == 3 {
        other.problem(422, "idempotency_key_reused");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_is_wrong_with_a_batch_is_named_by_place_and_none_is_taken(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    let good = acme.task("site-audit", json!({"website_url": "https://example.com"}));
    let with = |name: &str, value: Value| {
        let mut task = good.clone();
        task[name] = value;
        task
    };
    let send = |tasks: Vec<Value>| acme.post("/tasks/batch", json!({"tasks": tasks}));
    send(vec![]).await.invalid(&["tasks"]);
    send(vec![good.clone(); 1_001]).await.invalid(&["tasks"]);
    send(vec![good.clone(), with("priority", json!(11)), with("surprise", json!(1))])
        .await
        .invalid(&["tasks[1].priority", "tasks[2].surprise"]);
    send(vec![with("subject", json!("")), good.clone(), with("tags", json!(["a\nb"]))])
        .await
        .invalid(&["tasks[0].subject", "tasks[2].tags[0]"]);
    send(vec![with("recipe", json!("no-such")), good.clone(), with("inputs", json!({"website_url": "no url"}))])
        .await
        .invalid(&["tasks[0].recipe", "tasks[2].inputs.website_url"]);
    send(vec![good.clone(), with("agent_instance_id", json!(id()))]).await.invalid(&["tasks[1].agent_instance_id"]);
    assert_eq!(stack.count("select count(*) from task_queue").await, 0);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_monthly_limit_of_a_cookbook_is_402_and_says_when_the_month_ends(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    let task = acme.task("site-audit", json!({"website_url": "https://example.com"}));
    acme.post("/tasks", task.clone()).await.expect(202);
    sqlx::query("update monthly_executions set used = 498").execute(&root).await.unwrap();
    let three = json!({"tasks": [task, task, task]});
    let refused = acme.post("/tasks/batch", three).await.problem(402, "monthly_limit_reached");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("500 executions a month") && detail.contains("-01T00:00:00Z"), "{detail}");
    acme.post("/tasks/batch", json!({"tasks": [task, task]})).await.expect(202);
    acme.post("/tasks", task.clone()).await.problem(402, "monthly_limit_reached");
    let beta = Customer::new(&stack, "beta").await;
    let task = beta.task("site-audit", json!({"website_url": "https://example.com"}));
    beta.post("/tasks", task).await.expect(202);
}
