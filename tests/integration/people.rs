//! People of an agency: their role, team, status and sessions.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::PgPool;
use teamai::base::SessionId;

use crate::{
    stack::eventually,
    support::{Api, PASSWORD, Person},
};

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_admin_changes_a_person_and_what_is_left_out_stays(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let team = api.team(&admin, "north").await;
    let member = api.member(&admin, None).await;
    let path = format!("/users/{}", member.user_id);
    let body = json!({"team_id": team, "full_name": " Mia "});
    let user = api.patch(&admin, &path, body).await.expect(200);
    assert_eq!((&user["team_id"], &user["full_name"]), (&json!(team), &json!("Mia")));
    assert_eq!((&user["role"], &user["status"]), (&json!("team_member"), &json!("active")));
    let user = api.patch(&admin, &path, json!({"role": "agency_admin"})).await.expect(200);
    assert_eq!((&user["team_id"], &user["role"]), (&json!(team), &json!("agency_admin")));
    api.get(&member, "/users").await.expect(200);
    let user = api.patch(&admin, &path, json!({"team_id": null, "full_name": null})).await.expect(200);
    assert_eq!((&user["team_id"], &user["full_name"]), (&json!(null), &json!(null)));

    let bad = json!({"role": "owner", "status": "gone", "team_id": "x", "email": "new@acme.example"});
    api.patch(&admin, &path, bad).await.invalid(&["role", "status", "team_id", "email"]);
    api.patch(&admin, &path, json!({"full_name": " "})).await.invalid(&["full_name"]);
    let rival = api.agency("rival").await;
    let theirs = api.team(&rival, "theirs").await;
    api.patch(&admin, &path, json!({"team_id": theirs})).await.problem(404, "not_found");
    api.patch(&rival, &path, json!({"role": "team_member"})).await.problem(404, "not_found");
    let path = format!("/users/{}", rival.user_id);
    api.patch(&admin, &path, json!({"status": "deactivated"})).await.problem(404, "not_found");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn who_is_deactivated_is_out_at_once_and_comes_back_without_the_old_sessions(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let member = api.member(&admin, None).await;
    let path = format!("/users/{}", member.user_id);
    api.get(&member, "/auth/me").await.expect(200);
    api.patch(&admin, &path, json!({"status": "deactivated"})).await.expect(200);
    api.get(&member, "/auth/me").await.problem(401, "invalid_token");
    let refresh = json!({"refresh_token": member.refresh_token});
    api.post_open("/auth/refresh", refresh.clone()).await.problem(401, "invalid_refresh_token");
    let login = json!({"email": member.email, "password": PASSWORD});
    api.post_open("/auth/login", login).await.problem(403, "account_deactivated");

    api.patch(&admin, &path, json!({"status": "active"})).await.expect(200);
    api.get(&member, "/auth/me").await.problem(401, "invalid_token");
    api.post_open("/auth/refresh", refresh).await.problem(401, "invalid_refresh_token");
    api.login(&member.email).await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_last_active_admin_stays_one(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let path = format!("/users/{}", admin.user_id);
    for body in [json!({"role": "team_member"}), json!({"status": "deactivated"})] {
        let told = api.patch(&admin, &path, body).await.problem(409, "last_admin");
        assert!(told["detail"].as_str().unwrap().contains("somebody else an admin first"), "{told}");
    }
    assert_eq!(api.get(&admin, "/auth/me").await.expect(200)["role"], "agency_admin");
    // A deactivated admin and another agency's do not count.
    let second = api.member(&admin, None).await;
    let seconds = format!("/users/{}", second.user_id);
    api.patch(&admin, &seconds, json!({"role": "agency_admin", "status": "deactivated"})).await.expect(200);
    api.agency("rival").await;
    api.patch(&admin, &path, json!({"role": "team_member"})).await.problem(409, "last_admin");
    api.patch(&admin, &seconds, json!({"status": "active"})).await.expect(200);
    api.patch(&admin, &path, json!({"role": "team_member"})).await.expect(200);
    api.get(&admin, "/users").await.problem(403, "role_too_low");
}

/// Both are held up in the middle, so that neither sees what the other did.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn of_admins_who_demote_each_other_at_once_one_remains(root: PgPool) {
    let api = Api::start(&root);
    let first = api.agency("acme").await;
    let second = api.member(&first, None).await;
    let (a, b) = (format!("/users/{}", first.user_id), format!("/users/{}", second.user_id));
    api.patch(&first, &b, json!({"role": "agency_admin"})).await.expect(200);

    let mut held = root.begin().await.unwrap();
    sqlx::query("select id from users for update").execute(&mut *held).await.unwrap();
    let release = async {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        eventually("both wait", async || {
            let count: i64 = sqlx::query_scalar(waiting).fetch_one(&root).await.unwrap();
            (count == 2).then_some(())
        })
        .await;
        held.rollback().await.unwrap();
    };
    let demote = api.patch(&first, &b, json!({"role": "team_member"}));
    let deactivate = api.patch(&second, &a, json!({"status": "deactivated"}));
    let (demoted, deactivated, ()) = tokio::join!(demote, deactivate, release);
    let mut statuses = [demoted.status, deactivated.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", demoted.text, deactivated.text);
    let left = "select count(*) from users where role = 'agency_admin' and status = 'active'";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&root).await.unwrap(), 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_person_sees_and_ends_their_own_sessions(root: PgPool) {
    let api = Api::start(&root);
    let laptop = api.agency("acme").await;
    api.advance(TimeDelta::seconds(1));
    let phone = api.login(&laptop.email).await;
    let other = api.member(&laptop, None).await;
    let listed = api.get(&laptop, "/auth/sessions").await.expect(200);
    let items = listed["items"].as_array().unwrap();
    assert_eq!(items.iter().map(|s| s["current"].as_bool().unwrap()).collect::<Vec<_>>(), [false, true]);
    let phones = format!("/auth/sessions/{}", items[0]["id"].as_str().unwrap());

    api.delete(&other, &phones).await.problem(404, "not_found");
    api.get(&phone, "/auth/me").await.expect(200);
    api.delete(&laptop, &phones).await.expect(204);
    api.get(&phone, "/auth/me").await.problem(401, "invalid_token");
    let refresh = json!({"refresh_token": phone.refresh_token});
    api.post_open("/auth/refresh", refresh).await.problem(401, "invalid_refresh_token");
    api.delete(&laptop, &phones).await.problem(404, "not_found");
    assert_eq!(api.get(&laptop, "/auth/sessions").await.expect(200)["items"].as_array().unwrap().len(), 1);
    api.advance(TimeDelta::days(31));
    let fresh = api.login(&laptop.email).await;
    assert_eq!(api.get(&fresh, "/auth/sessions").await.expect(200)["items"].as_array().unwrap().len(), 1);
}

/// The oldest ends when one more begins, also when many begin at once.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_person_has_fifty_sessions_and_no_more(root: PgPool) {
    let api = Api::start(&root);
    let (oldest, other) = (api.agency("acme").await, api.agency("rival").await);
    let in_force = async |who: &Person| {
        let sql = "select count(*) from sessions where user_id = $1::uuid and revoked_at is null and expires_at > $2";
        let count = sqlx::query_scalar::<_, i64>(sql).bind(&who.user_id).bind(api.state.clock.now());
        count.fetch_one(&root).await.unwrap()
    };
    api.advance(TimeDelta::seconds(1));
    let second = api.login(&oldest.email).await;
    for _ in 0..48 {
        api.advance(TimeDelta::seconds(1));
        sqlx::query("insert into sessions (id, agency_id, user_id, expires_at) values ($1, $2::uuid, $3::uuid, $4)")
            .bind(SessionId::at(api.state.clock.now()).0)
            .bind(&oldest.agency_id)
            .bind(&oldest.user_id)
            .bind(api.state.clock.now() + TimeDelta::days(30))
            .execute(&root)
            .await
            .unwrap();
    }
    assert_eq!(in_force(&oldest).await, 50);
    api.get(&oldest, "/auth/me").await.expect(200);
    api.advance(TimeDelta::seconds(1));
    let newest = api.login(&oldest.email).await;
    assert_eq!(in_force(&oldest).await, 50);
    api.get(&oldest, "/auth/me").await.problem(401, "invalid_token");
    let refresh = json!({"refresh_token": oldest.refresh_token});
    api.post_open("/auth/refresh", refresh).await.problem(401, "invalid_refresh_token");
    for still in [&second, &newest, &other] {
        api.get(still, "/auth/me").await.expect(200);
    }
    api.advance(TimeDelta::seconds(1));
    let at_once = futures::future::join_all((0..2).map(|_| api.login(&oldest.email))).await;
    assert_eq!(in_force(&oldest).await, 50);
    for one in &at_once {
        api.get(one, "/auth/me").await.expect(200);
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_admin_sees_and_ends_the_sessions_of_the_agencys_people_alone(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    let member = api.member(&admin, None).await;
    let path = format!("/users/{}/sessions", member.user_id);
    let listed = api.get(&admin, &path).await.expect(200);
    let one = format!("{path}/{}", listed["items"][0]["id"].as_str().unwrap());
    api.get(&rival, &path).await.problem(404, "not_found");
    api.delete(&rival, &one).await.problem(404, "not_found");
    api.get(&member, &path).await.problem(403, "role_too_low");
    // A session goes by its own user alone.
    let crossed = one.replace(&member.user_id, &admin.user_id);
    api.delete(&admin, &crossed).await.problem(404, "not_found");
    api.get(&member, "/auth/me").await.expect(200);
    api.delete(&admin, &one).await.expect(204);
    api.get(&member, "/auth/me").await.problem(401, "invalid_token");
}
