//! Seats and agents.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Api, Person};

const NOBODY: &str = "0197f3c0-0000-7000-8000-000000000000";

struct Agency {
    admin: Person,
    role: String,
    team: String,
}

async fn agency_with_seats(api: &Api, name: &str, seats: u32) -> Agency {
    let admin = api.agency(name).await;
    let role = api.role(&format!("SEO Specialist for {name}"), "available").await;
    let team = api.team(&admin, "north").await;
    api.post(&admin, "/subscriptions", json!({"agent_role_id": role, "purchased_count": seats})).await.expect(201);
    Agency { admin, role, team }
}

fn agent(agency: &Agency) -> Value {
    json!({"agent_role_id": agency.role, "team_id": agency.team, "custom_name": "Sam"})
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn seats_are_bought_raised_and_lowered_but_not_below_what_is_taken(root: PgPool) {
    let api = Api::start(&root);
    let acme = agency_with_seats(&api, "acme", 2).await;
    let buy = |count: i64| json!({"agent_role_id": acme.role, "purchased_count": count});
    api.post(&acme.admin, "/agents", agent(&acme)).await.expect(201);
    let more = api.post(&acme.admin, "/subscriptions", buy(3)).await.expect(200);
    assert_eq!((&more["purchased_count"], &more["allocated_count"]), (&json!(3), &json!(1)));
    assert_eq!((&more["unit_price"], &more["monthly_cost"]), (&json!("49.5000000000"), &json!("148.5000000000")));
    assert_eq!((&more["cycle_start"], &more["cycle_end"]), (&json!("2027-03-01"), &json!("2027-04-01")));
    let refused = api.post(&acme.admin, "/subscriptions", buy(0)).await.problem(409, "seats_in_use");
    assert!(refused["detail"].as_str().unwrap().starts_with("1 agents"), "{refused}");
    api.post(&acme.admin, "/subscriptions", buy(1)).await.expect(200);
    api.post(&acme.admin, "/subscriptions", buy(-1)).await.invalid(&["purchased_count"]);
    api.post(&acme.admin, "/subscriptions", buy(100_001)).await.invalid(&["purchased_count"]);
    let usage = api.get(&acme.admin, "/subscriptions/usage").await.expect(200);
    assert_eq!((&usage["purchased"], &usage["allocated"]), (&json!(1), &json!(1)));
    assert_eq!(usage["subscriptions"][0]["agent_role"], "SEO Specialist for acme");
    assert_eq!(api.get(&acme.admin, "/subscriptions").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn roles_that_are_not_on_offer_are_not_sold(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    for status in ["upcoming", "deprecated"] {
        let role = api.role(&format!("{status} role"), status).await;
        let body = json!({"agent_role_id": role, "purchased_count": 1});
        let problem = api.post(&admin, "/subscriptions", body).await.problem(409, "role_not_available");
        assert!(problem["detail"].as_str().unwrap().contains(status), "{problem}");
    }
    let body = json!({"agent_role_id": NOBODY, "purchased_count": 1});
    api.post(&admin, "/subscriptions", body).await.problem(404, "not_found");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn seats_of_a_role_that_was_withdrawn_can_only_be_given_back(root: PgPool) {
    let api = Api::start(&root);
    let acme = agency_with_seats(&api, "acme", 2).await;
    sqlx::query("update agent_roles set status = 'deprecated'").execute(&root).await.unwrap();
    let buy = |count: i64| json!({"agent_role_id": acme.role, "purchased_count": count});
    api.post(&acme.admin, "/subscriptions", buy(3)).await.problem(409, "role_not_available");
    api.post(&acme.admin, "/agents", agent(&acme)).await.problem(409, "role_not_available");
    api.post(&acme.admin, "/subscriptions", buy(1)).await.expect(200);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn of_twenty_hired_at_once_on_five_seats_five_are(root: PgPool) {
    let api = Api::start(&root);
    let acme = agency_with_seats(&api, "acme", 5).await;
    let hires = (0..20).map(|_| api.post(&acme.admin, "/agents", agent(&acme)));
    let replies = futures::future::join_all(hires).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 5);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        let problem = reply.problem(402, "seats_exhausted");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("SEO Specialist for acme") && detail.contains("POST /subscriptions"), "{detail}");
    }
    let usage = api.get(&acme.admin, "/subscriptions/usage").await.expect(200);
    assert_eq!(usage["allocated"], 5);
    let agents = api.get(&acme.admin, "/agents").await.expect(200);
    assert_eq!(agents["items"].as_array().unwrap().len(), 5);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn retiring_frees_the_seat_once_and_keeps_the_agent_on_record(root: PgPool) {
    let api = Api::start(&root);
    let acme = agency_with_seats(&api, "acme", 1).await;
    let hired = api.post(&acme.admin, "/agents", agent(&acme)).await.expect(201);
    let path = format!("/agents/{}", hired["id"].as_str().unwrap());
    api.post(&acme.admin, "/agents", agent(&acme)).await.problem(402, "seats_exhausted");
    let both = futures::join!(api.delete(&acme.admin, &path), api.delete(&acme.admin, &path));
    assert_eq!([both.0.status, both.1.status].iter().filter(|status| **status == 204).count(), 1);
    assert_eq!(api.get(&acme.admin, "/subscriptions/usage").await.expect(200)["allocated"], 0);
    assert_eq!(api.get(&acme.admin, &path).await.expect(200)["status"], "retired");
    assert_eq!(api.get(&acme.admin, "/agents").await.expect(200)["items"], json!([]));
    let retired = api.get(&acme.admin, "/agents?status=retired").await.expect(200);
    assert_eq!(retired["items"].as_array().unwrap().len(), 1);
    api.patch(&acme.admin, &path, json!({"custom_name": "Max"})).await.problem(409, "agent_retired");
    api.post(&acme.admin, "/agents", agent(&acme)).await.expect(201);
    // Its record, and so its team, stays.
    api.delete(&acme.admin, &format!("/teams/{}", acme.team)).await.problem(409, "team_in_use");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_agent_is_changed_in_part_and_its_configuration_checked(root: PgPool) {
    let api = Api::start(&root);
    let acme = agency_with_seats(&api, "acme", 1).await;
    let mut body = agent(&acme);
    body["avatar_icon"] = json!("rocket");
    body["configuration"] = json!({"provider": "openai", "model": "gpt-4o-mini", "tone": {"dry": true}});
    let hired = api.post(&acme.admin, "/agents", body.clone()).await.expect(201);
    assert_eq!(hired["configuration"], body["configuration"]);
    let path = format!("/agents/{}", hired["id"].as_str().unwrap());
    let change = json!({"custom_name": "Max", "avatar_icon": null, "status": "paused"});
    let changed = api.patch(&acme.admin, &path, change).await.expect(200);
    assert_eq!((&changed["custom_name"], &changed["avatar_icon"]), (&json!("Max"), &json!(null)));
    assert_eq!((&changed["status"], &changed["configuration"]), (&json!("paused"), &body["configuration"]));
    let south = api.team(&acme.admin, "south").await;
    let moved = api.patch(&acme.admin, &path, json!({"team_id": south, "configuration": {}})).await.expect(200);
    assert_eq!((&moved["team_id"], &moved["configuration"]), (&json!(south), &json!({})));

    for (configuration, at) in [
        (json!({"temperature": 3}), "configuration.temperature"),
        (json!({"x": "y".repeat(17_000)}), "configuration"),
        (json!([1]), "configuration"),
    ] {
        api.patch(&acme.admin, &path, json!({"configuration": configuration})).await.invalid(&[at]);
    }
    api.patch(&acme.admin, &path, json!({"status": "retired"})).await.invalid(&["status"]);
    api.patch(&acme.admin, &path, json!({"custom_name": " "})).await.invalid(&["custom_name"]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn teams_roles_and_agents_of_another_agency_are_not_there(root: PgPool) {
    let api = Api::start(&root);
    let acme = agency_with_seats(&api, "acme", 2).await;
    let rival = agency_with_seats(&api, "rival", 2).await;
    let hired = api.post(&acme.admin, "/agents", agent(&acme)).await.expect(201);
    let path = format!("/agents/{}", hired["id"].as_str().unwrap());
    let hidden = api.get(&rival.admin, &path).await.problem(404, "not_found");
    assert_eq!(hidden, api.get(&rival.admin, &format!("/agents/{NOBODY}")).await.problem(404, "not_found"));
    api.patch(&rival.admin, &path, json!({"custom_name": "Max"})).await.problem(404, "not_found");
    api.delete(&rival.admin, &path).await.problem(404, "not_found");
    assert_eq!(api.get(&rival.admin, "/agents").await.expect(200)["items"], json!([]));

    let mut body = agent(&rival);
    body["team_id"] = json!(acme.team);
    api.post(&rival.admin, "/agents", body).await.problem(404, "not_found");
    // The refused hire took no seat.
    assert_eq!(api.get(&rival.admin, "/subscriptions/usage").await.expect(200)["allocated"], 0);
    let own_role = "update agent_roles set agency_id = $1::uuid where id = $2::uuid";
    sqlx::query(own_role).bind(&acme.admin.agency_id).bind(&acme.role).execute(&root).await.unwrap();
    let body = json!({"agent_role_id": acme.role, "purchased_count": 1});
    api.post(&rival.admin, "/subscriptions", body).await.problem(404, "not_found");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_member_sees_the_agents_of_its_team(root: PgPool) {
    let api = Api::start(&root);
    let acme = agency_with_seats(&api, "acme", 2).await;
    let south = api.team(&acme.admin, "south").await;
    let own = api.post(&acme.admin, "/agents", agent(&acme)).await.expect(201);
    let mut body = agent(&acme);
    body["team_id"] = json!(south);
    let other = api.post(&acme.admin, "/agents", body).await.expect(201);
    let member = api.member(&acme.admin, Some(&acme.team)).await;
    let seen = api.get(&member, "/agents").await.expect(200);
    assert_eq!(seen["items"].as_array().unwrap().len(), 1);
    assert_eq!(seen["items"][0]["id"], own["id"]);
    assert_eq!(api.get(&member, &format!("/agents?team_id={south}")).await.expect(200)["items"], json!([]));
    api.get(&member, &format!("/agents/{}", own["id"].as_str().unwrap())).await.expect(200);
    api.get(&member, &format!("/agents/{}", other["id"].as_str().unwrap())).await.problem(404, "not_found");
    api.post(&member, "/agents", agent(&acme)).await.problem(403, "role_too_low");
    assert_eq!(api.get(&acme.admin, "/agents").await.expect(200)["items"].as_array().unwrap().len(), 2);
}
