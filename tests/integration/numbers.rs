//! How many of each an agency can have: a stranger makes no end of nothing.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{
    customer::{Customer, days_from_now},
    stack::{Stack, eventually},
    support::{Api, Person, Reply},
};

/// What is made, how many there can be, how all but one of them come to be there, and how
/// one more is asked for.
struct Kind {
    code: &'static str,
    most: usize,
    /// `$1` is how many, `$2` the agency.
    fill: &'static str,
    method: &'static str,
    path: &'static str,
    body: fn(usize) -> Value,
}

const KINDS: [Kind; 4] = [
    Kind {
        code: "too_many_teams",
        most: 500,
        fill: "insert into teams (id, agency_id, name) select gen_random_uuid(), $2, 'filler ' || n from generate_series(1, $1) n",
        method: "POST",
        path: "/teams",
        body: |n| json!({"name": format!("team {n}")}),
    },
    Kind {
        code: "too_many_api_keys",
        most: 500,
        fill: "insert into api_keys (id, agency_id, name, secret_hash, scopes)
               select gen_random_uuid(), $2, 'filler', sha256('x'), '{tasks:read}' from generate_series(1, $1)",
        method: "POST",
        path: "/api-keys",
        body: |n| json!({"name": format!("key {n}"), "scopes": ["tasks:read"]}),
    },
    Kind {
        code: "too_many_invites",
        most: 500,
        fill: "insert into invites (id, agency_id, email, role, token_hash, expires_at)
               select gen_random_uuid(), $2, 'filler-' || n || '@example.com', 'team_member', sha256(n::text::bytea),
                      now() + interval '1 day' from generate_series(1, $1) n",
        method: "POST",
        path: "/invites",
        body: |n| json!({"email": format!("new-{n}@example.com"), "role": "team_member"}),
    },
    Kind {
        code: "too_many_secrets",
        most: 1000,
        fill: "insert into secret_locker (id, agency_id, key_name, key_version, nonce, ciphertext, last4)
               select gen_random_uuid(), $2, 'filler-' || n, 1, decode(repeat('00', 24), 'hex'), '\\x00', ''
                 from generate_series(1, $1) n",
        method: "PUT",
        path: "/secrets/key-",
        body: |n| json!({"value": format!("value {n}")}),
    },
];

impl Kind {
    async fn ask(&self, api: &Api, who: &Person, n: usize) -> Reply {
        match self.method {
            "PUT" => api.put(who, &format!("{}{n}", self.path), (self.body)(n)).await,
            _ => api.post(who, self.path, (self.body)(n)).await,
        }
    }
}

async fn fill(api: &Api, sql: &'static str, count: usize, agency: &str) {
    let mut tx = api.root.begin().await.unwrap();
    // As if they had been made one by one, without asking for each.
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    let agency: uuid::Uuid = agency.parse().unwrap();
    sqlx::query(AssertSqlSafe(sql)).bind(i32::try_from(count).unwrap()).bind(agency).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_agency_makes_no_end_of_nothing_and_is_told_what_to_do(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    for kind in &KINDS {
        // Makes the agency's key for secrets, too.
        kind.ask(&api, &admin, 0).await.expect(201);
        fill(&api, kind.fill, kind.most - 2, &admin.agency_id).await;
        // Of several at once for the last place one gets it.
        let at_once = futures::future::join_all((1..=8).map(|n| kind.ask(&api, &admin, n))).await;
        let made = at_once.iter().filter(|reply| reply.status == 201).count();
        assert_eq!(made, 1, "{}", kind.code);
        let problem = kind.ask(&api, &admin, 9).await.problem(409, kind.code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&kind.most.to_string()) && detail.contains("; "), "{detail}");
        kind.ask(&api, &rival, 9).await.expect(201);
    }
    // What is there can still be changed.
    let secret = api.put(&admin, "/secrets/key-0", json!({"value": "another"})).await.expect(200);
    assert_eq!(secret["version"], 2);
    api.delete(&admin, "/secrets/key-0").await.expect(204);
    api.put(&admin, "/secrets/key-10", json!({"value": "another"})).await.expect(201);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn making_and_revoking_in_turn_has_an_end_too(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    for (kind, table) in [(&KINDS[1], "api_keys"), (&KINDS[2], "invites")] {
        fill(&api, kind.fill, kind.most, &admin.agency_id).await;
        let revoke = format!("update {table} set revoked_at = now()");
        sqlx::query(AssertSqlSafe(revoke)).execute(&root).await.unwrap();
        kind.ask(&api, &admin, 1).await.problem(409, kind.code);
        let age = format!("update {table} set created_at = now() - interval '25 hours'");
        sqlx::query(AssertSqlSafe(age)).execute(&root).await.unwrap();
        kind.ask(&api, &admin, 1).await.expect(201);
    }
}

/// Each kind that the database bounds has its answer, and the other way round.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_bound_of_the_database_is_an_answer_of_the_api(root: PgPool) {
    let bounded: Vec<String> = sqlx::query_scalar(
        "select tgname::text from pg_trigger where tgfoid = 'app.bound_number()'::regprocedure order by 1",
    )
    .fetch_all(&root)
    .await
    .unwrap();
    let source = include_str!("../../src/api/http/problem.rs");
    let list = source.split("const TOO_MANY").nth(1).unwrap().split("];").next().unwrap();
    let known: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(bounded, known);
}

const RECIPE: &str = r#"
recipe:
  id: plain
  name: Plain
  version: "1.0"
  inputs: []
  workflow:
    nodes: [{ id: a, component: Transform, config: { value: 1 } }]
"#;

/// An agency's tasks that have not ended, those for later with them.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn tasks_that_wait_have_a_number_and_those_for_later_count(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let (acme, rival) = (Customer::new(&stack, "acme").await, Customer::new(&stack, "rival").await);
    for customer in [&acme, &rival] {
        customer.publish(RECIPE).await;
    }
    let task = || acme.task("plain", json!({}));
    let first = acme.post_keyed("/tasks", "before", &task()).await.expect(202);
    let mut tx = root.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    sqlx::query(
        "insert into task_queue (id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug, recipe_version,
                                 steps_total, run_at)
         select gen_random_uuid(), t.agency_id, t.team_id, t.agent_instance_id, t.recipe_id, t.recipe_slug,
                t.recipe_version, t.steps_total, now() + interval '300 days'
           from task_queue t, generate_series(2, 99998)",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let full = eventually("the queue is full", async || {
        let reply = acme.post("/tasks", task()).await;
        (reply.status != 202).then_some(reply)
    })
    .await;
    assert!(stack.count("select count(*) from task_queue").await <= 100_000, "two could still be taken");
    assert!(full.header("retry-after").is_some(), "{}", full.text);
    let detail = full.problem(429, "queue_full")["detail"].to_string();
    assert!(["100000", "run_at", "cancel"].iter().all(|word| detail.contains(word)), "{detail}");
    acme.post("/tasks/batch", json!({"tasks": [task(), task()]})).await.problem(429, "queue_full");
    acme.cancel(first["id"].as_str().unwrap()).await;
    eventually("there is a place again", async || (acme.post("/tasks", task()).await.status == 202).then_some(()))
        .await;
    acme.post("/tasks", task()).await.problem(429, "queue_full");
    acme.post_empty(&format!("/tasks/{}/retry", first["id"].as_str().unwrap())).await.problem(429, "queue_full");
    // What was taken before is answered as it was then.
    assert_eq!(acme.post_keyed("/tasks", "before", &task()).await.expect(202)["id"], first["id"]);
    rival.submit(rival.task("plain", json!({}))).await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_task_waits_for_its_time_a_year_and_no_longer(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let task = |days: i64| {
        let mut task = acme.task("plain", json!({}));
        task["run_at"] = days_from_now(days);
        task
    };
    acme.post("/tasks", task(365)).await.expect(202);
    acme.post("/tasks", task(-400)).await.expect(202);
    let refused = acme.post("/tasks", task(367)).await.invalid(&["run_at"]);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("366 days") && detail.contains("schedule"), "{detail}");
    let mut last = task(1);
    last["run_at"] = json!("9999-12-31T00:00:00Z");
    acme.post("/tasks/batch", json!({"tasks": [task(1), last]})).await.invalid(&["tasks[1].run_at"]);
}
