//! Every operation of the specification, as everybody who should and should not:
//! the answers are those of `who_may/table.txt`, and an operation without a line fails.

mod world;

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::PgPool;
use teamai::base::SystemClock;

use world::{Request, World};

use crate::{
    identity_provider::{self, IdentityProvider},
    model::Model,
    stack::Stack,
    support::Reply,
};

const TABLE: &str = include_str!("who_may/table.txt");
const CALLERS: [&str; 7] = ["nobody", "stranger", "neighbour", "member", "bare key", "key", "admin"];

/// Have something of the agency to show, so that a stranger's has something to leave out.
const LISTS: [&str; 8] = [
    "list_teams",
    "list_users",
    "list_agents",
    "list_secrets",
    "list_recipes",
    "list_tasks",
    "list_approvals",
    "list_audit_logs",
];

struct Line {
    operation: &'static str,
    scope: &'static str,
    /// One for each of the callers.
    answers: Vec<&'static str>,
}

fn table() -> Vec<Line> {
    let lines = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (operation, scope) = (words.next().unwrap(), words.next().unwrap());
            let answers: Vec<_> = words.collect();
            assert_eq!(answers.len(), CALLERS.len(), "{line}");
            Line { operation, scope, answers }
        })
        .collect()
}

/// Operation, method and path of everything in the specification, and what it says of its callers.
fn operations() -> Vec<(String, String, String, Value)> {
    let spec: Value = serde_json::from_str(&teamai::api::spec()).unwrap();
    let paths = spec["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| {
                let id = operation["operationId"].as_str().unwrap().to_owned();
                (id, method.to_uppercase(), path.clone(), operation.clone())
            })
        })
        .collect()
}

#[test]
fn the_table_has_every_operation_once_and_no_other() {
    let listed: Vec<&str> = table().iter().map(|line| line.operation).collect();
    let distinct: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(listed.len(), distinct.len(), "a line stands twice");
    let operations = operations();
    let known: BTreeSet<&str> = operations.iter().map(|(id, ..)| id.as_str()).collect();
    let missing: Vec<_> = known.difference(&distinct).collect();
    assert!(missing.is_empty(), "add lines to tests/integration/who_may/table.txt for {missing:?}");
    let gone: Vec<_> = distinct.difference(&known).collect();
    assert!(gone.is_empty(), "the specification has no {gone:?} any more");
}

/// What people read in the specification is what the table holds the server to.
#[test]
fn the_specification_tells_what_the_table_says() {
    let operations = operations();
    for line in table() {
        let (.., operation) = operations.iter().find(|(id, ..)| id == line.operation).unwrap();
        let told = operation["description"].as_str().unwrap_or_default();
        let schemes = operation["security"].as_array().unwrap().len();
        match line.scope {
            "open" => assert_eq!(operation["security"], serde_json::json!([{}]), "{}", line.operation),
            "people" => assert!(told.contains("API keys are refused") && schemes == 1, "{}: {told}", line.operation),
            scope => assert!(told.contains(&format!("`{scope}`")) && schemes == 2, "{}: {told}", line.operation),
        }
        let for_admins = line.scope != "open" && line.answers[3] == "role";
        assert_eq!(told.contains("admins"), for_admins, "{}: {told}", line.operation);
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn everybody_gets_the_answer_of_the_table(root: PgPool) {
    let idp = IdentityProvider::start(SystemClock::shared()).await;
    let model = Model::serve().await;
    let (issuer, allowed, base_url) = (idp.issuer(), idp.allowed(), model.base_url());
    let mut settings = identity_provider::settings(&issuer, &allowed).to_vec();
    // Its callers ask more in a minute than one address may.
    settings.push(("TEAMAI_LIMITS__ADDRESS_PER_MINUTE", "1000000"));
    settings.push(("TEAMAI_PROVIDERS__OPENAI__BASE_URL", &base_url));
    let stack = Stack::start(&root, &settings).await;
    let worker = stack.worker();
    let world = World::new(&stack).await;
    drop(worker);
    let mut wrong = Vec::new();
    for line in table() {
        let operations = operations();
        let (_, method, path, _) = operations.iter().find(|(id, ..)| id == line.operation).unwrap();
        for (caller, expected) in CALLERS.iter().zip(&line.answers) {
            // New for each caller: what one of them deletes is there for the next.
            let request = world.request(line.operation).await;
            let token = world.token(caller, line.scope).await;
            let reply = world.send(method, &request.path(path), token.as_deref(), &request).await;
            let answer = (*caller, *expected, &reply);
            if let Some(problem) = compare(&world, &line, answer, &request) {
                wrong.push(format!("{} as {caller}: {problem}", line.operation));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with an answer, if anything is.
fn compare(
    world: &World,
    line: &Line,
    (caller, expected, reply): (&str, &str, &Reply),
    request: &Request,
) -> Option<String> {
    let code = reply.body["code"].as_str().unwrap_or_default();
    let (status, wanted) = match expected {
        "token" => (401, "not_signed_in"),
        "scope" => (403, "scope_missing"),
        "people" => (403, "people_only"),
        "role" => (403, "role_too_low"),
        "hidden" => (404, "not_found"),
        "invalid" => (422, "invalid_request"),
        status => (status.parse().unwrap(), code),
    };
    if (reply.status, code) != (status, wanted) {
        return Some(format!("{expected} was expected, not {} {}", reply.status, reply.text));
    }
    let shows = |ids: Vec<String>| ids.into_iter().find(|id| reply.text.contains(id.as_str()) && !request.sent(id));
    if caller == "admin" && LISTS.contains(&line.operation) && shows(world.of_the_agency()).is_none() {
        return Some(format!("nothing of the agency is in the list: {}", reply.text));
    }
    // What is allowed has nothing of others in it, unless a credential of theirs was sent.
    let foreign = match caller {
        _ if line.scope == "open" => Vec::new(),
        "stranger" => world.of_the_agency(),
        "neighbour" => world.of_the_team(),
        _ => Vec::new(),
    };
    shows(foreign).map(|id| format!("{id} is shown: {}", reply.text))
}
