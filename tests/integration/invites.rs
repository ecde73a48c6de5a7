//! Invites: made by admins, accepted once, and gone when revoked or out of time.

use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Api, PASSWORD, Person, person};

async fn invite(api: &Api, admin: &Person, email: &str) -> (String, String) {
    let made = api.post(admin, "/invites", json!({"email": email, "role": "team_member"})).await.expect(201);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["invite"]["id"]), text(&made["token"]))
}

fn acceptance(token: &str) -> Value {
    json!({"token": token, "password": PASSWORD, "full_name": " Mia "})
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_invite_makes_the_account_with_its_role_and_team_and_signs_in(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let team = api.team(&admin, "north").await;
    let body = json!({"email": "Mia@Acme.example", "role": "team_member", "team_id": team});
    let made = api.post(&admin, "/invites", body).await.expect(201);
    assert_eq!(made["invite"]["email"], "mia@acme.example");
    let token = made["token"].as_str().unwrap();
    let listed = api.get(&admin, "/invites").await;
    assert!(!listed.text.contains(token), "{}", listed.text);
    assert_eq!(listed.expect(200)["items"], json!([made["invite"]]));
    let kept: String = sqlx::query_scalar("select invites::text from invites").fetch_one(&root).await.unwrap();
    assert!(!kept.contains(token), "{kept}");

    let body = api.post_open("/invites/accept", acceptance(token)).await.expect(201);
    assert_eq!((&body["user"]["role"], &body["user"]["team_id"]), (&json!("team_member"), &json!(team)));
    assert_eq!((&body["user"]["full_name"], &body["agency"]["id"]), (&json!("Mia"), &json!(admin.agency_id)));
    let mia = person(&body);
    api.get(&mia, &format!("/teams/{team}")).await.expect(200);
    api.get(&mia, "/users").await.problem(403, "role_too_low");
    api.login("mia@acme.example").await;
    assert_eq!(api.get(&admin, "/invites").await.expect(200)["items"], json!([]));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_unknown_revoked_expired_or_used_token_gets_the_same_answer(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let unknown = api.post_open("/invites/accept", acceptance("no such token")).await.problem(401, "invalid_invite");

    let (id, revoked) = invite(&api, &admin, "a@acme.example").await;
    api.delete(&admin, &format!("/invites/{id}")).await.expect(204);
    api.delete(&admin, &format!("/invites/{id}")).await.problem(404, "not_found");
    let (_, used) = invite(&api, &admin, "b@acme.example").await;
    api.post_open("/invites/accept", acceptance(&used)).await.expect(201);
    let (_, expired) = invite(&api, &admin, "c@acme.example").await;
    api.advance(TimeDelta::days(7));
    for token in [revoked, used, expired] {
        assert_eq!(api.post_open("/invites/accept", acceptance(&token)).await.problem(401, "invalid_invite"), unknown);
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_invite_is_good_to_its_last_second_and_of_many_acceptances_one_counts(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let (_, token) = invite(&api, &admin, "mia@acme.example").await;
    api.advance(TimeDelta::days(7) - TimeDelta::seconds(1));
    let replies = futures::future::join_all((0..6).map(|_| api.post_open("/invites/accept", acceptance(&token)))).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 401, 401, 401, 401, 401]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_address_has_one_pending_invite_in_an_agency_and_none_when_it_is_there(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    let again = json!({"email": "mia@acme.example", "role": "agency_admin"});
    let (id, _) = invite(&api, &admin, "mia@acme.example").await;
    api.post(&admin, "/invites", again.clone()).await.problem(409, "invite_pending");
    // Another agency's invite is its own business.
    api.post(&rival, "/invites", again.clone()).await.expect(201);
    api.delete(&rival, &format!("/invites/{id}")).await.problem(404, "not_found");
    // One that ran out makes room, as does a revoked one.
    api.advance(TimeDelta::days(7));
    let admin = api.login(&admin.email).await;
    let made = api.post(&admin, "/invites", again.clone()).await.expect(201);
    assert_eq!(api.get(&admin, "/invites").await.expect(200)["items"].as_array().unwrap().len(), 1);
    api.delete(&admin, &format!("/invites/{}", made["invite"]["id"].as_str().unwrap())).await.expect(204);
    api.post(&admin, "/invites", again).await.expect(201);

    let here = json!({"email": admin.email, "role": "team_member"});
    api.post(&admin, "/invites", here).await.problem(409, "already_here");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_account_elsewhere_is_told_to_its_owner_alone(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    // The admin learns nothing: the answer is that for an unknown address.
    let (_, token) = invite(&api, &admin, &rival.email).await;
    api.post_open("/invites/accept", acceptance(&token)).await.problem(409, "email_taken");
    // Nothing was used up, so that it works once the address is free.
    sqlx::query("update users set email = 'moved@rival.example' where email = $1")
        .bind(&rival.email)
        .execute(&root)
        .await
        .unwrap();
    api.post_open("/invites/accept", acceptance(&token)).await.expect(201);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_bad_invite_or_acceptance_names_the_field_and_uses_nothing_up(root: PgPool) {
    let api = Api::start(&root);
    let (admin, rival) = (api.agency("acme").await, api.agency("rival").await);
    api.post(&admin, "/invites", json!({"email": "x", "role": "team_member"})).await.invalid(&["email"]);
    let body = json!({"email": "x@acme.example", "role": "owner", "team": 1});
    api.post(&admin, "/invites", body).await.invalid(&["role", "team"]);
    let theirs = api.team(&rival, "theirs").await;
    let body = json!({"email": "x@acme.example", "role": "team_member", "team_id": theirs});
    api.post(&admin, "/invites", body).await.problem(404, "not_found");

    let (_, token) = invite(&api, &admin, "mia-of-the-north@acme.example").await;
    let with = |password: &str| json!({"token": token, "password": password});
    api.post_open("/invites/accept", with("short")).await.invalid(&["password"]);
    api.post_open("/invites/accept", with("mia-of-the-north@acme.example")).await.invalid(&["password"]);
    api.post_open("/invites/accept", json!({"token": token})).await.invalid(&["password"]);
    let bad = json!({"token": token, "password": PASSWORD, "full_name": " "});
    api.post_open("/invites/accept", bad).await.invalid(&["full_name"]);
    api.post_open("/invites/accept", with(PASSWORD)).await.expect(201);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_invites_of_an_admin_who_is_none_any_more_end(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    for (n, change) in [json!({"role": "team_member"}), json!({"status": "deactivated"})].into_iter().enumerate() {
        let second = api.member(&admin, None).await;
        let path = format!("/users/{}", second.user_id);
        api.patch(&admin, &path, json!({"role": "agency_admin"})).await.expect(200);
        let (_, token) = invite(&api, &second, &format!("friend-{n}@acme.example")).await;
        let (_, kept) = invite(&api, &admin, &format!("kept-{n}@acme.example")).await;
        api.patch(&admin, &path, change).await.expect(200);
        api.post_open("/invites/accept", acceptance(&token)).await.problem(401, "invalid_invite");
        api.post_open("/invites/accept", acceptance(&kept)).await.expect(201);
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn nobody_comes_into_a_suspended_agency(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let (_, token) = invite(&api, &admin, "mia@acme.example").await;
    sqlx::query("update agencies set status = 'suspended'").execute(&root).await.unwrap();
    api.post_open("/invites/accept", acceptance(&token)).await.problem(403, "agency_suspended");
    let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&root).await.unwrap();
    assert_eq!(users, 1);
}
