//! A task asks people and waits for them: no worker holds it, and one decision counts.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, items, of_kind, step, text},
    stack::{Stack, eventually},
    support::Api,
};

const RECIPE: &str = r#"
recipe:
  id: publish
  name: Publish with leave
  version: "1.0"
  inputs: [{ name: timeout, type: string, default: 1h }]
  workflow:
    nodes:
      - { id: draft, component: LLMProcessor, config: { model: scripted/scripted-small, prompt_template: Draft } }
      - id: leave
        component: Approval
        depends_on: [draft]
        config:
          message: "Publish {{ draft.content }}?"
          timeout: "{{ inputs.timeout }}"
          form:
            type: object
            required: [channel]
            additionalProperties: false
            properties: { channel: { type: string, enum: [blog, mail] } }
      - { id: publish, component: Transform, depends_on: [leave], config: { value: "to {{ leave.channel }}" } }
    output: { source: publish.output }
  compliance: { cost_per_unit: 0.5 }
"#;

async fn waiting(acme: &Customer, id: &str) -> Value {
    eventually("the task waits", async || {
        let task = acme.find(id).await;
        assert!(!["completed", "failed", "dead"].contains(&task["status"].as_str().unwrap()), "{task}");
        (task["status"] == "waiting").then_some(task)
    })
    .await
}

pub async fn question(acme: &Customer, task: &str) -> Value {
    eventually("somebody is asked", async || {
        items(&acme.get(&format!("/approvals?status=open&task_id={task}")).await.expect(200)).pop()
    })
    .await
}

/// Nothing of it is held, and nothing is left open in the ledger.
async fn nobody_holds(stack: &Stack) {
    let held = "select count(*) from task_queue where status = 'waiting'
                   and (lease_until is not null or attempt <> 0 or dispatched_at is distinct from 'infinity')";
    assert_eq!(stack.count(held).await, 0);
    assert_eq!(stack.count("select count(*) from call_intents where state = 'open'").await, 0);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn approved_with_a_form_that_is_checked_by_the_first_of_two(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let id = acme.submit(acme.task("publish", json!({}))).await;
    let task = waiting(&acme, &id).await;
    assert_eq!((&task["attempt"], &task["progress"]), (&json!(0), &json!({"done": 1, "total": 3})), "{task}");
    nobody_holds(&stack).await;
    let asked = question(&acme, &id).await;
    assert!(asked["message"].as_str().unwrap().starts_with("Publish "), "{asked}");
    assert_eq!(
        (&asked["can_decide"], &asked["kind"], &asked["node_id"]),
        (&json!(true), &json!("approval"), &json!("leave"))
    );

    // Whoever held it is of no use to it any more.
    worker.kill();
    let path = format!("/approvals/{}", text(&asked["id"]));
    acme.post(&path, json!({"decision": "approve"})).await.invalid(&["payload"]);
    acme.post(&path, json!({"decision": "approve", "payload": {"channel": "radio"}}))
        .await
        .invalid(&["payload.channel"]);
    acme.post(&path, json!({"decision": "maybe"})).await.problem(422, "invalid_request");
    acme.post("/approvals/0197f3c0-0000-7000-8000-000000000000", json!({"decision": "reject"}))
        .await
        .problem(404, "not_found");
    let approve = |channel| acme.post(&path, json!({"decision": "approve", "payload": {"channel": channel}}));
    // Both have found the question open before either decides.
    let mut held = root.begin().await.unwrap();
    sqlx::query("select from approvals for update").execute(&mut *held).await.unwrap();
    let both_wait = eventually("both decide", async || {
        let waiting = "select count(*) from pg_stat_activity
                        where datname = current_database() and wait_event_type = 'Lock'";
        (stack.count(waiting).await == 2).then_some(())
    });
    let release = async {
        both_wait.await;
        held.rollback().await.unwrap();
    };
    let (one, other, ()) = futures::join!(approve("blog"), approve("mail"), release);
    let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
    let won = won.expect(200);
    lost.problem(409, "already_decided");
    assert_eq!(
        (&won["status"], won["decided_by"].is_string(), won["decided_at"].is_string()),
        (&json!("approved"), true, true)
    );

    let _second = stack.worker();
    let task = acme.finished(&id).await;
    assert_eq!(task["status"], "completed", "{task}");
    assert_eq!(task["output"], format!("to {}", won["payload"]["channel"].as_str().unwrap()));
    assert_eq!(task["attempt"], 1, "waiting is no failed claim");
    let lines = acme.lines(&id).await;
    assert_eq!((of_kind(&lines, "llm").len(), of_kind(&lines, "execution").len()), (1, 1), "{lines:#?}");
    add_up(&task, &lines);
    let steps = acme.steps(&id).await;
    assert_eq!(step(&steps, "leave")["output"]["decided_by"], won["decided_by"]);
    approve("blog").await.problem(409, "already_decided");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn rejected_expired_or_cancelled(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(RECIPE).await;
    let rejected = acme.submit(acme.task("publish", json!({}))).await;
    let path = format!("/approvals/{}", text(&question(&acme, &rejected).await["id"]));
    acme.post(&path, json!({"decision": "reject", "payload": {"reason": "too dull"}})).await.expect(200);
    let task = acme.finished(&rejected).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("approval_rejected")));
    assert!(task["error"]["message"].as_str().unwrap().contains("too dull"), "{task}");
    assert_eq!(task["error"]["node_id"], "leave");

    let expired = acme.submit(acme.task("publish", json!({"timeout": "2s"}))).await;
    let path = format!("/approvals/{}", text(&question(&acme, &expired).await["id"]));
    let task = acme.finished(&expired).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("approval_expired")), "{task}");
    let late = json!({"decision": "approve", "payload": {"channel": "blog"}});
    acme.post(&path, late.clone()).await.problem(409, "approval_expired");

    let cancelled = acme.submit(acme.task("publish", json!({}))).await;
    let path = format!("/approvals/{}", text(&question(&acme, &cancelled).await["id"]));
    waiting(&acme, &cancelled).await;
    let task = acme.post(&format!("/tasks/{cancelled}/cancel"), json!({})).await.expect(200);
    assert_eq!(task["status"], "cancelled");
    acme.post(&path, late).await.problem(409, "already_decided");
    for id in [rejected, expired, cancelled] {
        let lines = acme.lines(&id).await;
        assert_eq!(of_kind(&lines, "execution").len(), 1, "{lines:#?}");
        add_up(&acme.find(&id).await, &lines);
    }
    let open = items(&acme.get("/approvals?status=open").await.expect(200));
    assert!(open.is_empty(), "{open:#?}");
}

/// What else can go on does, one failure ends the wait, and one that is allowed does not.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn beside_branches_that_go_on_and_fail(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    let recipe = |id: &str, leave: &str, other: &str| {
        format!(
            "recipe:\n  id: {id}\n  name: {id}\n  version: '1.0'\n  workflow:\n    nodes:\n      - {{ id: leave, component: Approval, \
             config: {{ message: Go on? }}{leave} }}\n      - {{ id: other, component: {other} }}\n      \
             - {{ id: last, component: Transform, depends_on: [leave, other], config: {{ value: done }} }}\n"
        )
    };
    let slow = "LLMProcessor, config: { model: scripted/scripted-slow-1500, prompt_template: Hello }";
    let bad = "LLMProcessor, config: { model: scripted/scripted-400, prompt_template: Hello }";
    acme.publish(&recipe("beside", "", slow)).await;
    acme.publish(&recipe("doomed", "", bad)).await;
    acme.publish(&recipe("allowed", ", allow_failure: true", slow)).await;

    let beside = acme.submit(acme.task("beside", json!({}))).await;
    question(&acme, &beside).await;
    assert_eq!(acme.find(&beside).await["status"], "running", "another node is at work");
    waiting(&acme, &beside).await;
    assert_eq!(acme.steps(&beside).await.len(), 1, "and its result is kept");

    let doomed = acme.run(acme.task("doomed", json!({}))).await;
    assert_eq!((&doomed["status"], &doomed["error"]["node_id"]), (&json!("failed"), &json!("other")), "{doomed}");

    let allowed = acme.submit(acme.task("allowed", json!({}))).await;
    let path = format!("/approvals/{}", text(&question(&acme, &allowed).await["id"]));
    acme.post(&path, json!({"decision": "reject"})).await.expect(200);
    let allowed = acme.finished(&allowed).await;
    assert_eq!(allowed["status"], "completed", "{allowed}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn those_who_are_named_decide_and_no_others(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let team = api.team(&admin, "Search").await;
    let (mia, max) = (api.member(&admin, Some(&team)).await, api.member(&admin, Some(&team)).await);
    let key = api.key(&admin, None, &["approvals:write", "approvals:read"]).await;
    let ask = async |approvers: &[&str]| -> String {
        let ids: (uuid::Uuid, uuid::Uuid) = (crate::fixture::id(), crate::fixture::id());
        for statement in [
            format!(
                "insert into agent_roles (id, agency_id, name) values ('{}', '{}', '{}')",
                ids.0, admin.agency_id, ids.0
            ),
            format!(
                "insert into agent_instances (id, agency_id, team_id, agent_role_id, custom_name)
                 values ('{}', '{}', '{team}', '{}', 'Ada')",
                ids.0, admin.agency_id, ids.0
            ),
            format!(
                "insert into recipes (id, agency_id, slug, name, version, version_key, document, content_hash)
                 values ('{0}', '{1}', '{0}', '{0}', '1', '1', '{{}}', sha256('x'))",
                ids.0, admin.agency_id
            ),
            format!(
                "insert into task_queue (id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug,
                                         recipe_version, steps_total, status)
                 values ('{0}', '{1}', '{team}', '{0}', '{0}', 'r', '1', 1, 'waiting')",
                ids.0, admin.agency_id
            ),
            format!(
                "insert into approvals (id, agency_id, team_id, task_id, node_id, occurrence, round, kind, message,
                                        approvers, expires_at)
                 values ('{}', '{}', '{team}', '{}', 'n', 0, 0, 'approval', 'Go on?', '{{{}}}', now() + interval '1 h')",
                ids.1, admin.agency_id, ids.0, approvers.join(",")
            ),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&root).await.unwrap();
        }
        format!("/approvals/{}", ids.1)
    };
    let approve = json!({"decision": "approve"});
    for (approvers, may, may_not) in [
        (vec![mia.email.as_str()], vec![&mia], vec![&max, &admin, &key]),
        (vec![max.user_id.as_str()], vec![&max], vec![&mia, &admin, &key]),
        (vec!["agency_admin"], vec![&admin], vec![&mia, &max]),
        (vec!["agency_admin"], vec![&key], vec![&mia, &max]),
        (vec!["team_member", "boss@else.example"], vec![&mia], vec![&admin, &key]),
        (vec![], vec![&max], vec![]),
    ] {
        let path = ask(&approvers).await;
        for who in may_not {
            api.post(who, &path, approve.clone()).await.problem(403, "not_an_approver");
            let listed = api.get(who, "/approvals?status=open").await.expect(200);
            assert_eq!(listed["items"][0]["can_decide"], false);
        }
        for who in may {
            assert_eq!(api.get(who, "/approvals?status=open").await.expect(200)["items"][0]["can_decide"], true);
            let decided = api.post(who, &path, approve.clone()).await.expect(200);
            let by = if who.email.is_empty() { &decided["decided_by_key"] } else { &decided["decided_by"] };
            assert_eq!(by.as_str(), Some(who.user_id.as_str()));
        }
    }
}
