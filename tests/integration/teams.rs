//! The agency, its teams and its people.

use serde_json::json;
use sqlx::PgPool;

use crate::support::{Api, pool_as};

const NOBODY: &str = "0197f3c0-0000-7000-8000-000000000000";

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_admin_changes_the_agency_and_what_is_left_out_stays(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let settings = json!({"default_provider": "groq", "default_model": "llama-3.1-8b-instant",
        "max_concurrent_tasks": 20, "retention_days": 90});
    let body = json!({"name": "Acme Ltd", "billing_email": "b@acme.example", "settings": settings});
    let agency = api.patch(&admin, "/agency", body).await.expect(200);
    assert_eq!((&agency["name"], &agency["settings"]), (&json!("Acme Ltd"), &settings));
    let body = json!({"billing_email": null, "settings": {"default_model": null}});
    api.patch(&admin, "/agency", body).await.expect(200);
    let agency = api.get(&admin, "/agency").await.expect(200);
    assert_eq!((&agency["name"], &agency["billing_email"]), (&json!("Acme Ltd"), &json!(null)));
    assert_eq!(
        agency["settings"],
        json!({"default_provider": "groq", "default_model": null, "max_concurrent_tasks": 20, "retention_days": 90})
    );
    let cleared = api.patch(&admin, "/agency", json!({"settings": {"max_concurrent_tasks": null}})).await.expect(200);
    assert_eq!(cleared["settings"]["max_concurrent_tasks"], json!(null));
    let unknown = api.patch(&admin, "/agency", json!({"settings": {"default_provider": "opnai"}})).await;
    let told = unknown.invalid(&["settings.default_provider"]);
    assert!(told["detail"].as_str().unwrap().contains("groq, openai, scripted"), "{told}");
    let bad = json!({"name": "", "billing_email": "x", "settings": {"default_provider": ""}});
    api.patch(&admin, "/agency", bad).await.invalid(&["name", "billing_email", "settings.default_provider"]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn teams_are_made_renamed_listed_and_deleted(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let id = api.team(&admin, " North ").await;
    assert_eq!(api.get(&admin, &format!("/teams/{id}")).await.expect(200)["name"], "North");
    api.post(&admin, "/teams", json!({"name": "North"})).await.problem(409, "team_name_taken");
    api.post(&admin, "/teams", json!({"name": " "})).await.invalid(&["name"]);
    let renamed = api.patch(&admin, &format!("/teams/{id}"), json!({"name": "South"})).await.expect(200);
    assert_eq!((&renamed["name"], &renamed["max_concurrent_tasks"]), (&json!("South"), &json!(null)));
    let limited = api.patch(&admin, &format!("/teams/{id}"), json!({"max_concurrent_tasks": 3})).await.expect(200);
    assert_eq!((&limited["name"], &limited["max_concurrent_tasks"]), (&json!("South"), &json!(3)));
    let cleared = api.patch(&admin, &format!("/teams/{id}"), json!({"max_concurrent_tasks": null})).await.expect(200);
    assert_eq!(cleared["max_concurrent_tasks"], json!(null));
    for (path, body) in [
        (format!("/teams/{id}"), json!({"max_concurrent_tasks": 0})),
        (format!("/teams/{id}"), json!({"max_concurrent_tasks": 100_001})),
    ] {
        api.patch(&admin, &path, body).await.invalid(&["max_concurrent_tasks"]);
    }
    api.patch(&admin, "/agency", json!({"settings": {"max_concurrent_tasks": 0}}))
        .await
        .invalid(&["settings.max_concurrent_tasks"]);
    api.delete(&admin, &format!("/teams/{id}")).await.expect(204);
    for reply in [
        api.get(&admin, &format!("/teams/{id}")).await,
        api.patch(&admin, &format!("/teams/{id}"), json!({"name": "x"})).await,
        api.delete(&admin, &format!("/teams/{id}")).await,
        api.get(&admin, "/teams/not-an-id").await,
    ] {
        reply.problem(404, "not_found");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn lists_go_from_the_newest_and_stay_stable_under_inserts(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    for n in 0..5 {
        api.team(&admin, &format!("team {n}")).await;
    }
    let names = |page: &serde_json::Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|team| team["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = api.get(&admin, "/teams?limit=2").await.expect(200);
    assert_eq!(names(&first), ["team 4", "team 3"]);
    api.team(&admin, "late").await;
    let path = format!("/teams?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = api.get(&admin, &path).await.expect(200);
    assert_eq!(names(&second), ["team 2", "team 1"]);
    let path = format!("/teams?limit=2&cursor={}", second["next_cursor"].as_str().unwrap());
    let third = api.get(&admin, &path).await.expect(200);
    assert_eq!((names(&third), &third["next_cursor"]), (vec!["team 0".to_owned()], &json!(null)));
    api.get(&admin, "/teams?limit=0").await.invalid(&["limit"]);
    api.get(&admin, "/teams?limit=201").await.invalid(&["limit"]);
    api.get(&admin, "/teams?limit=many").await.invalid(&["limit"]);
    api.get(&admin, "/teams?cursor=x").await.invalid(&["cursor"]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_member_sees_its_own_team_and_changes_nothing(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let (own, other) = (api.team(&admin, "own").await, api.team(&admin, "other").await);
    let member = api.member(&admin, Some(&own)).await;
    let teams = api.get(&member, "/teams").await.expect(200);
    assert_eq!(teams["items"].as_array().unwrap().len(), 1);
    api.get(&member, &format!("/teams/{own}")).await.expect(200);
    let hidden = api.get(&member, &format!("/teams/{other}")).await.problem(404, "not_found");
    let unknown = api.get(&member, &format!("/teams/{NOBODY}")).await.problem(404, "not_found");
    assert_eq!(hidden, unknown);
    api.get(&member, "/agency").await.expect(200);
    for reply in [
        api.post(&member, "/teams", json!({"name": "x"})).await,
        api.patch(&member, &format!("/teams/{own}"), json!({"name": "x"})).await,
        api.delete(&member, &format!("/teams/{own}")).await,
        api.patch(&member, "/agency", json!({"name": "x"})).await,
        api.get(&member, "/users").await,
        api.get(&member, "/subscriptions").await,
        api.get(&member, "/secrets").await,
    ] {
        reply.problem(403, "role_too_low");
    }
    let teamless = api.member(&admin, None).await;
    assert_eq!(api.get(&teamless, "/teams").await.expect(200)["items"], json!([]));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn agencies_do_not_see_each_other(root: PgPool) {
    let api = Api::start(&root);
    let (acme, rival) = (api.agency("acme").await, api.agency("rival").await);
    let team = api.team(&acme, "north").await;
    let path = format!("/teams/{team}");
    let hidden = api.get(&rival, &path).await.problem(404, "not_found");
    assert_eq!(hidden, api.get(&rival, &format!("/teams/{NOBODY}")).await.problem(404, "not_found"));
    api.patch(&rival, &path, json!({"name": "taken over"})).await.problem(404, "not_found");
    api.delete(&rival, &path).await.problem(404, "not_found");
    api.get(&rival, &format!("/users/{}", acme.user_id)).await.problem(404, "not_found");
    assert_eq!(api.get(&rival, "/teams").await.expect(200)["items"], json!([]));
    let users = api.get(&rival, "/users").await.expect(200);
    assert_eq!(users["items"].as_array().unwrap().len(), 1);
    assert_eq!(users["items"][0]["id"], rival.user_id);
    assert_eq!(api.get(&acme, &path).await.expect(200)["name"], "north");
    // The same name is free in each agency.
    api.team(&rival, "north").await;
}

/// Behind the API too: the roles that serve see nothing without a tenant's
/// context, and with one its rows alone, whatever a query asks for.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn row_level_security_holds_under_the_serving_roles(root: PgPool) {
    let api = Api::start(&root);
    let (acme, rival) = (api.agency("acme").await, api.agency("rival").await);
    for who in [&acme, &rival] {
        api.team(who, "north").await;
        api.put(who, "/secrets/key", json!({"value": "x"})).await.expect(201);
    }
    let pool = pool_as(&root, "teamai_api");
    let tables = ["agencies", "teams", "users", "sessions", "refresh_tokens", "agency_keys", "secret_locker"];
    for table in tables {
        let count = format!("select count(*) from {table}");
        let none: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count.clone())).fetch_one(&pool).await.unwrap();
        assert_eq!(none, 0, "{table}");
        let agency = teamai::base::AgencyId(acme.agency_id.parse().unwrap());
        let mut tx = teamai::db::tenant(&pool, agency).await.unwrap();
        let own: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut *tx).await.unwrap();
        assert_eq!(own, 1, "{table}");
    }
    let agency = teamai::base::AgencyId(acme.agency_id.parse().unwrap());
    let mut tx = teamai::db::tenant(&pool, agency).await.unwrap();
    let planted =
        sqlx::query("insert into teams (id, agency_id, name) values (gen_random_uuid(), $1::uuid, 'planted')")
            .bind(&rival.agency_id)
            .execute(&mut *tx)
            .await;
    assert!(planted.unwrap_err().to_string().contains("row-level security"));
}
