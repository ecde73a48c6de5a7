//! A recipe within a recipe: one task of its own, whatever is killed, and its output, cost and end.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    customer::{Customer, add_up, items, of_kind, step, text, usd},
    model::Model,
    stack::{Stack, eventually},
};

fn inner(id: &str, model: &str) -> String {
    format!(
        "recipe:\n  id: {id}\n  name: {id}\n  version: '1.0'\n  inputs: [{{ name: topic, type: string }}]\n  workflow:\n    nodes:\n      \
         - {{ id: ask, component: LLMProcessor, config: {{ model: {model}, max_tokens: 50, prompt_template: \"About {{{{ inputs.topic }}}}\" }} }}\n      \
         - {{ id: end, component: Transform, depends_on: [ask], config: {{ value: {{ topic: \"{{{{ inputs.topic }}}}\", words: \"{{{{ ask.content }}}}\" }} }} }}\n    \
         output: {{ source: end.output }}\n"
    )
}

fn outer(id: &str, inner: &str, more: &str) -> String {
    format!(
        "recipe:\n  id: {id}\n  name: {id}\n  version: '1.0'\n  workflow:\n    nodes:\n      \
         - {{ id: own, component: LLMProcessor, config: {{ model: scripted/scripted-small, max_tokens: 50, prompt_template: Mine }} }}\n      \
         - {{ id: sub, component: SubRecipe, depends_on: [own], config: {{ recipe: {inner}, inputs: {{ topic: tea }} }} }}\n      \
         - {{ id: end, component: Transform, depends_on: [sub], config: {{ value: \"{{{{ sub.topic }}}}\" }} }}\n{more}"
    )
}

async fn children(acme: &Customer, parent: &str) -> Vec<Value> {
    let tasks = items(&acme.get("/tasks?limit=200").await.expect(200));
    tasks.into_iter().filter(|task| task["parent_task_id"] == parent).collect()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn its_output_is_the_node_s_and_its_cost_counts(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(&inner("inner", "scripted/scripted-small")).await;
    acme.publish(&outer("outer", "inner", "")).await;
    let task = acme.complete(acme.task("outer", json!({}))).await;
    assert_eq!((&task["output"], &task["attempt"]), (&json!("tea"), &json!(1)));
    let id = text(&task["id"]);
    let children = children(&acme, &id).await;
    assert_eq!(children.len(), 1);
    let child = &children[0];
    assert_eq!(
        (&child["status"], &child["recipe"], &child["attempt"]),
        (&json!("completed"), &json!("inner"), &json!(1))
    );
    let (own, theirs) = (acme.lines(&id).await, acme.lines(&text(&child["id"])).await);
    for lines in [&own, &theirs] {
        assert_eq!((of_kind(lines, "llm").len(), of_kind(lines, "execution").len()), (1, 1), "{lines:#?}");
    }
    let (tokens, cost) = add_up(child, &theirs);
    let both: Vec<Value> = own.into_iter().chain(theirs).collect();
    add_up(&task, &both);
    assert!(cost > Decimal::ZERO && tokens > 0);
    let steps = acme.steps(&id).await;
    let sub = step(&steps, "sub");
    assert_eq!((sub["tokens"].as_u64(), usd(&sub["cost"])), (Some(tokens), cost));
    assert!(sub["output"]["words"].is_string(), "{sub}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn there_is_one_whatever_is_killed(root: PgPool) {
    let model = Model::serve().await;
    let settings = [("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &*model.base_url()), ("TEAMAI_LEASE__SECONDS", "5")];
    let stack = Stack::start(&root, &settings).await;
    stack.price_of_scripted_openai().await;
    let worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(&inner("inner", "openai/scripted-slow-2500")).await;
    acme.publish(&outer("outer", "inner", "")).await;
    let id = acme.submit(acme.task("outer", json!({}))).await;
    eventually("the sub-recipe asks", async || (model.requests().len() == 1).then_some(())).await;
    worker.kill();
    let _second = stack.worker();
    stack.age_tickets().await;
    let task = acme.finished(&id).await;
    assert_eq!((&task["status"], &task["output"]), (&json!("completed"), &json!("tea")), "{task}");
    let children = children(&acme, &id).await;
    assert_eq!(children.len(), 1, "{children:#?}");
    let theirs = acme.lines(&text(&children[0]["id"])).await;
    let statuses: Vec<_> = of_kind(&theirs, "llm").iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, ["unknown", "success"], "{theirs:#?}");
    add_up(&children[0], &theirs);
    let both: Vec<Value> = acme.lines(&id).await.into_iter().chain(theirs).collect();
    add_up(&task, &both);
    assert_eq!(of_kind(&both, "execution").len(), 2);
    // A parent that is taken over finds the one that it started.
    let again = "insert into task_queue (id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug, recipe_version,
                                         steps_total, parent_task_id, parent_node_id, parent_occurrence)
                 select gen_random_uuid(), agency_id, team_id, agent_instance_id, recipe_id, recipe_slug, recipe_version,
                        1, parent_task_id, parent_node_id, parent_occurrence
                   from task_queue where parent_task_id is not null";
    let refused = sqlx::query(again).execute(&root).await.unwrap_err();
    assert_eq!(teamai::db::violated_constraint(&refused), Some("task_queue_child"));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn its_failure_its_budget_and_its_way_are_the_node_s(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.publish(&inner("bad", "scripted/scripted-400")).await;
    acme.publish(&outer("of-bad", "bad", "")).await;
    let task = acme.run(acme.task("of-bad", json!({}))).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("provider_rejected")), "{task}");
    assert_eq!(task["error"]["node_id"], "sub");
    assert!(task["error"]["message"].as_str().unwrap().contains("the sub-recipe bad failed at ask"), "{task}");

    // What the parent has left is what the sub-recipe may spend.
    acme.publish(&inner("inner", "scripted/scripted-small")).await;
    acme.publish(&inner("greedy", "scripted/scripted-small").replace("max_tokens: 50", "max_tokens: 5000")).await;
    acme.publish(&outer("poor", "greedy", "  budget: { max_cost_usd: 0.0001 }\n")).await;
    let task = acme.run(acme.task("poor", json!({}))).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("budget_exhausted")), "{task}");
    let children = children(&acme, &text(&task["id"])).await;
    assert!(usd(&children[0]["budget_usd"]) < Decimal::new(1, 4), "less than the whole: {children:#?}");

    // A recipe within itself, at once and by way of another.
    let refused = acme.post_yaml("/recipes", &outer("snake", "snake", "")).await.problem(422, "invalid_recipe");
    assert_eq!(refused["errors"][0]["path"], "recipe.workflow.nodes[1].config.recipe", "{refused}");
    acme.publish(&outer("hen", "egg", "").replace(", inputs: { topic: tea }", "")).await;
    acme.publish(&outer("egg", "hen", "").replace(", inputs: { topic: tea }", "")).await;
    let task = acme.run(acme.task("hen", json!({}))).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("failed"), &json!("sub_recipe_cycle")), "{task}");
    acme.publish(&outer("lost", "nowhere", "")).await;
    let task = acme.run(acme.task("lost", json!({}))).await;
    assert_eq!(task["error"]["code"], "recipe_unknown", "{task}");
    acme.publish(&outer("wrong", "inner", "").replace("topic: tea", "topic: 3")).await;
    let task = acme.run(acme.task("wrong", json!({}))).await;
    assert_eq!(
        (&task["error"]["code"], &task["error"]["field"]),
        (&json!("invalid_config"), &json!("config.inputs.topic"))
    );
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn it_is_cancelled_with_the_task_that_started_it(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(&inner("inner", "openai/scripted-hang")).await;
    acme.publish(&outer("middle", "inner", "")).await;
    acme.publish(
        &outer("outer", "middle", "").replace(", inputs: { topic: tea }", "").replace("{{ sub.topic }}", "{{ sub }}"),
    )
    .await;
    let id = acme.submit(acme.task("outer", json!({}))).await;
    eventually("the innermost asks", async || (model.requests().len() == 1).then_some(())).await;
    eventually("the outermost waits", async || (acme.find(&id).await["status"] == "waiting").then_some(())).await;
    acme.post(&format!("/tasks/{id}/cancel"), json!({})).await.expect(200);
    for task in items(&acme.get("/tasks?limit=200").await.expect(200)) {
        let task = acme.finished(&text(&task["id"])).await;
        assert_eq!(task["status"], "cancelled", "{task}");
        let lines = acme.lines(&text(&task["id"])).await;
        assert_eq!(of_kind(&lines, "execution").len(), 1, "{lines:#?}");
    }
    assert_eq!(stack.count("select count(*) from task_queue").await, 3);
    assert_eq!(stack.count("select count(*) from call_intents where state = 'open'").await, 0);
    eventually("no news are left over", async || {
        (stack.count("select count(*) from task_wakes").await == 0).then_some(())
    })
    .await;
}

const TOKENS: &str = "  budget: { max_tokens: 300 }\n";

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn its_tokens_are_those_that_its_parent_has_left(root: PgPool) {
    let stack = Stack::start(&root, &[]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    let wordy = |id: &str, words: usize| {
        inner(id, "scripted/scripted-small").replace("About {{ inputs.topic }}", &"word ".repeat(words))
    };
    acme.publish(&wordy("short", 10)).await;
    acme.publish(&wordy("long", 400)).await;
    acme.publish(&outer("of-short", "short", TOKENS)).await;
    acme.publish(&outer("of-long", "long", TOKENS)).await;

    let task = acme.complete(acme.task("of-short", json!({}))).await;
    let id = text(&task["id"]);
    let child = children(&acme, &id).await.swap_remove(0);
    let (own, theirs) = (acme.lines(&id).await, acme.lines(&text(&child["id"])).await);
    let (tokens, _) = add_up(&child, &theirs);
    let used: i64 = own.iter().map(|line| line["tokens_used"].as_i64().unwrap()).sum();
    let lent: i64 = sqlx::query_scalar("select budget_tokens from task_queue where parent_task_id is not null")
        .fetch_one(&root)
        .await
        .unwrap();
    assert_eq!(lent, 300 - used, "what was left");
    add_up(&task, &own.into_iter().chain(theirs).collect::<Vec<_>>());
    assert!(tokens > 0);

    // It would complete by itself: its own recipe has no bound.
    acme.complete(acme.task("long", json!({"topic": "tea"}))).await;
    let task = acme.run(acme.task("of-long", json!({}))).await;
    let error = &task["error"];
    assert_eq!((&error["code"], &error["node_id"]), (&json!("budget_exhausted"), &json!("sub")), "{task}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("raise budget.max_tokens of the recipe that started this one"), "{message}");
    let child = children(&acme, &text(&task["id"])).await.swap_remove(0);
    assert_eq!((&child["status"], &child["error"]["code"]), (&json!("failed"), &json!("budget_exhausted")), "{child}");
    assert_eq!(child["error"]["field"], "budget.max_tokens");
}

fn twice(id: &str, budget: &str) -> String {
    format!(
        "recipe:\n  id: {id}\n  name: {id}\n  version: '1.0'\n  budget: {{ {budget} }}\n  workflow:\n    nodes:\n      \
         - {{ id: sub, component: SubRecipe, for_each: 'range(2) | list', config: {{ recipe: inner, inputs: {{ topic: tea }} }} }}\n"
    )
}

/// Two that start at once do not both get all of it: the second waits for what the first leaves.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn two_at_once_share_what_is_left_and_the_worker_is_free_meanwhile(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    stack.price_of_scripted_openai().await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(&inner("inner", "openai/scripted-slow-1500")).await;
    for (id, budget) in [("tokens", "max_tokens: 4000"), ("money", "max_cost_usd: 1")] {
        acme.publish(&twice(id, budget)).await;
        let before = model.requests().len();
        let id = acme.submit(acme.task(id, json!({}))).await;
        eventually("the first asks", async || (model.requests().len() == before + 1).then_some(())).await;
        eventually("the parent waits", async || (acme.find(&id).await["status"] == "waiting").then_some(())).await;
        assert_eq!(children(&acme, &id).await.len(), 1, "the second has nothing to spend yet");
        let task = acme.finished(&id).await;
        assert_eq!(
            (&task["status"], task["output"].as_array().map(Vec::len)),
            (&json!("completed"), Some(2)),
            "{task}"
        );
        let both = children(&acme, &id).await;
        assert_eq!(both.len(), 2);
        let mut lines = acme.lines(&id).await;
        for child in &both {
            lines.extend(acme.lines(&text(&child["id"])).await);
        }
        add_up(&task, &lines);
    }
    let lent: Vec<i64> =
        sqlx::query_scalar("select budget_tokens from task_queue where budget_tokens is not null order by created_at")
            .fetch_all(&root)
            .await
            .unwrap();
    assert!(lent.len() == 2 && lent[0] == 4000 && lent[1] < 4000, "what the first left: {lent:?}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_was_lent_is_known_to_whoever_goes_on(root: PgPool) {
    let model = Model::serve().await;
    let stack = Stack::start(&root, &[("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &model.base_url())]).await;
    let _worker = stack.worker();
    let acme = Customer::new(&stack, "acme").await;
    acme.secret("openai_api_key", "sk-test-1234567890").await;
    acme.publish(&inner("inner", "openai/scripted-hang")).await;
    acme.publish(&twice("tokens", "max_tokens: 4000")).await;
    let id = acme.submit(acme.task("tokens", json!({}))).await;
    eventually("the first asks", async || (model.requests().len() == 1).then_some(())).await;
    eventually("the parent waits", async || (acme.find(&id).await["status"] == "waiting").then_some(())).await;
    sqlx::query("update task_queue set wake_at = now() where status = 'waiting'").execute(&root).await.unwrap();
    eventually("it was claimed again and waits", async || {
        let again = "select count(*) from task_queue where parent_task_id is null and epoch = 2 and status = 'waiting'";
        (stack.count(again).await == 1).then_some(())
    })
    .await;
    assert_eq!(children(&acme, &id).await.len(), 1, "the first still has all of it");
}
