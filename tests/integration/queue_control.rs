//! Pausing and resuming, what the queue shows, and the workers.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, SMALL},
    stack::{Stack, eventually},
    support::Api,
};

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn paused_work_waits_while_others_run_and_goes_on_when_resumed(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let (acme, other) = (Customer::new(&stack, "acme").await, Customer::new(&stack, "other").await);
    for customer in [&acme, &other] {
        customer.publish(SMALL).await;
        customer.complete(customer.task("small", json!({}))).await;
    }
    for scope in [
        json!({"scope": "agency"}),
        json!({"scope": "team", "scope_id": acme.team}),
        json!({"scope": "agent", "scope_id": acme.agent}),
    ] {
        let mut pause = scope.clone();
        pause["reason"] = json!("The site is being moved");
        let made = acme.post("/queue/pause", pause.clone()).await.expect(200);
        assert_eq!((&made["scope"], &made["reason"]), (&scope["scope"], &pause["reason"]));
        assert_eq!(made["scope_id"], scope["scope_id"]);
        let held = acme.submit(acme.task("small", json!({}))).await;
        for _ in 0..3 {
            other.complete(other.task("small", json!({}))).await;
        }
        let task = acme.find(&held).await;
        assert_eq!((&task["status"], &task["attempt"]), (&json!("queued"), &json!(0)), "{scope}");
        let queue = acme.get("/queue").await.expect(200);
        assert_eq!(queue["pauses"].as_array().unwrap().len(), 1, "{queue}");
        assert_eq!(queue["pauses"][0]["scope"], scope["scope"]);
        assert_eq!(queue["open"], 1);
        assert_eq!(
            other.get("/queue").await.expect(200)["pauses"],
            json!([]),
            "another agency's are nobody's business"
        );
        let left = acme.post("/queue/resume", scope.clone()).await.expect(200);
        assert_eq!(left, json!({"pauses": []}));
        assert_eq!(acme.finished(&held).await["status"], "completed");
        acme.post("/queue/resume", scope).await.problem(409, "not_paused");
    }
    let queue = acme.get("/queue").await.expect(200);
    assert!(queue["submitted_per_minute"].as_f64().unwrap() > 0.0, "{queue}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_pause_names_what_there_is(root: PgPool) {
    let api = Api::start(&root);
    let (admin, stranger) = (api.agency("acme").await, api.agency("other").await);
    let team = api.team(&admin, "North").await;
    let pause = async |who, body: Value| api.post(who, "/queue/pause", body).await;
    pause(&admin, json!({"scope": "agency", "scope_id": team})).await.invalid(&["scope_id"]);
    pause(&admin, json!({"scope": "team"})).await.invalid(&["scope_id"]);
    pause(&admin, json!({"scope": "agent"})).await.invalid(&["scope_id"]);
    for (who, scope) in [(&admin, "agent"), (&stranger, "team")] {
        let none = pause(who, json!({"scope": scope, "scope_id": team})).await.problem(404, "not_found");
        assert!(none["detail"].as_str().unwrap().starts_with("scope_id: "), "{none}");
    }
    pause(&admin, json!({"scope": "house"})).await.invalid(&["scope"]);
    pause(&admin, json!({"scope": "agency", "reason": " "})).await.invalid(&["reason"]);
    pause(&admin, json!({"scope": "agency", "reason": "x".repeat(501)})).await.invalid(&["reason"]);
    let first = pause(&admin, json!({"scope": "team", "scope_id": team, "reason": "one"})).await.expect(200);
    let second = pause(&admin, json!({"scope": "team", "scope_id": team})).await.expect(200);
    assert_eq!((&second["reason"], &second["created_at"]), (&json!(null), &first["created_at"]), "still one pause");
    assert_eq!(first["created_by"], json!(admin.user_id));
    api.post(&stranger, "/queue/resume", json!({"scope": "team", "scope_id": team})).await.problem(409, "not_paused");
    let queue = api.get(&admin, "/queue").await.expect(200);
    assert_eq!(queue["pauses"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn workers_say_that_they_are_there_and_show_an_agency_its_own_tasks(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let (acme, other) = (Customer::new(&stack, "acme").await, Customer::new(&stack, "other").await);
    acme.publish(&SMALL.replace(
        "component: Transform, config: { value: done }",
        "component: LLMProcessor, config: { model: scripted/scripted-slow-60000, prompt_template: Hello }",
    ))
    .await;
    let mut workers = vec![stack.worker(), stack.worker_with(&[("TEAMAI_WORKER__CONCURRENCY", "7")])];
    let listed =
        async |who: &Customer| who.get("/queue/workers").await.expect(200)["items"].as_array().unwrap().clone();
    let two = eventually("both are listed", async || {
        let items = listed(&acme).await;
        (items.len() == 2).then_some(items)
    })
    .await;
    assert!(two.iter().all(|worker| worker["alive"] == true && worker["running"] == 0), "{two:?}");
    let mut places: Vec<_> = two.iter().map(|worker| worker["concurrency"].as_i64().unwrap()).collect();
    places.sort_unstable();
    assert_eq!(places, [7, 1000]);
    acme.submit(acme.task("small", json!({}))).await;
    let running = |items: &[Value]| items.iter().map(|worker| worker["running"].as_i64().unwrap()).sum::<i64>();
    eventually("it runs", async || (running(&listed(&acme).await) == 1).then_some(())).await;
    assert_eq!(running(&listed(&other).await), 0, "of others' tasks nothing is told");

    // One stops in good order and is off the list; one that was killed is shown as gone.
    let killed = workers.remove(0);
    killed.kill();
    sqlx::query("update workers set seen_at = seen_at - interval '20 s' where concurrency = 1000")
        .execute(&root)
        .await
        .unwrap();
    let items = listed(&acme).await;
    let alive: Vec<_> =
        items.iter().map(|worker| (worker["concurrency"].as_i64(), worker["alive"].as_bool())).collect();
    assert!(alive.contains(&(Some(1000), Some(false))) && alive.contains(&(Some(7), Some(true))), "{alive:?}");
    workers[0].stop().await;
    assert_eq!(listed(&acme).await.len(), 1);
}
