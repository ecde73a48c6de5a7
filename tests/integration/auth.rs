//! Registering, signing in and out, tokens, and the throttle.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Api, PASSWORD, Person, person};

fn registration(email: &str) -> Value {
    json!({"agency_name": " Acme ", "billing_email": "Bills@Acme.example", "email": email, "password": PASSWORD,
           "full_name": "Ana"})
}

fn with_token(who: &Person, token: impl Into<String>) -> Person {
    Person {
        token: token.into(),
        refresh_token: who.refresh_token.clone(),
        user_id: who.user_id.clone(),
        agency_id: who.agency_id.clone(),
        email: who.email.clone(),
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn registering_makes_agency_and_admin_and_signs_in(root: PgPool) {
    let api = Api::start(&root);
    let body = api.post_open("/auth/register", registration("Ana@Acme.example")).await.expect(201);
    assert_eq!(body["user"]["email"], "ana@acme.example");
    assert_eq!(body["user"]["role"], "agency_admin");
    assert_eq!(body["agency"]["name"], "Acme");
    assert_eq!(body["agency"]["billing_email"], "bills@acme.example");
    assert_eq!((body["token_type"].as_str(), body["expires_in"].as_i64()), (Some("Bearer"), Some(600)));
    let me = api.get(&person(&body), "/auth/me").await.expect(200);
    assert_eq!((&me["id"], &me["full_name"]), (&body["user"]["id"], &json!("Ana")));
    assert!(me.get("password_hash").is_none());
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_address_registers_once_and_a_refused_registration_leaves_no_agency(root: PgPool) {
    let api = Api::start(&root);
    api.post_open("/auth/register", registration("ana@acme.example")).await.expect(201);
    api.post_open("/auth/register", registration("ANA@acme.example")).await.problem(409, "email_taken");
    let agencies: i64 = sqlx::query_scalar("select count(*) from agencies").fetch_one(&root).await.unwrap();
    assert_eq!(agencies, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_bad_registration_names_each_field(root: PgPool) {
    let api = Api::start(&root);
    let body = json!({"agency_name": " ", "email": "ana", "password": "short", "full_name": "", "billing_email": "x"});
    let paths = ["agency_name", "email", "password", "full_name", "billing_email"];
    api.post_open("/auth/register", body).await.invalid(&paths);
    let common = json!({"agency_name": "Acme", "email": "ana@acme.example", "password": "Password1234"});
    api.post_open("/auth/register", common).await.invalid(&["password"]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_wrong_password_and_an_unknown_address_get_the_same_answer(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let login = |email: &str| json!({"email": email, "password": "not the password"});
    let wrong = api.post_open("/auth/login", login(&admin.email)).await.problem(401, "invalid_credentials");
    let unknown = api.post_open("/auth/login", login("x@acme.example")).await.problem(401, "invalid_credentials");
    assert_eq!(wrong, unknown);
    assert_eq!(api.login(&admin.email.to_uppercase()).await.user_id, admin.user_id);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_hash_of_the_past_is_renewed_at_sign_in(root: PgPool) {
    use argon2::password_hash::{CustomizedPasswordHasher, phc::PasswordHash};
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let params = argon2::Params::new(64, 1, 1, None).unwrap();
    let old: PasswordHash = argon2::Argon2::default()
        .hash_password_customized(PASSWORD.as_bytes(), b"0123456789abcdef", None, None, params)
        .unwrap();
    sqlx::query("update users set password_hash = $1").bind(old.to_string()).execute(&root).await.unwrap();
    api.login(&admin.email).await;
    let hash: String = sqlx::query_scalar("select password_hash from users").fetch_one(&root).await.unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    api.login(&admin.email).await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn tokens_that_are_expired_forged_or_unsigned_are_refused(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let parts: Vec<&str> = admin.token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();

    claims["exp"] = json!(4_000_000_000_u64);
    let forged = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2]);
    api.get(&with_token(&admin, forged), "/auth/me").await.problem(401, "invalid_token");
    header["alg"] = json!("none");
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(header.to_string()), parts[1]);
    api.get(&with_token(&admin, unsigned), "/auth/me").await.problem(401, "invalid_token");
    api.get(&with_token(&admin, "tak_something"), "/auth/me").await.problem(401, "invalid_token");
    api.get(&with_token(&admin, "x".repeat(9000)), "/auth/me").await.problem(401, "invalid_token");
    let elsewhere = Api::start(&root);
    elsewhere.get(&admin, "/auth/me").await.problem(401, "invalid_token");

    // Its signature is remembered, and it is still refused once it has expired.
    api.get(&admin, "/auth/me").await.expect(200);
    api.advance(TimeDelta::seconds(630));
    api.get(&admin, "/auth/me").await.problem(401, "invalid_token");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session(root: PgPool) {
    let api = Api::start(&root);
    let first = api.agency("acme").await;
    let refresh = |who: &Person| json!({"refresh_token": who.refresh_token});
    let second = person(&api.post_open("/auth/refresh", refresh(&first)).await.expect(200));
    assert_ne!(first.refresh_token, second.refresh_token);
    api.get(&second, "/auth/me").await.expect(200);

    api.post_open("/auth/refresh", refresh(&first)).await.problem(401, "refresh_token_reused");
    api.post_open("/auth/refresh", refresh(&second)).await.problem(401, "invalid_refresh_token");
    // The access tokens of the session went with it, remembered or not.
    api.get(&second, "/auth/me").await.problem(401, "invalid_token");
    api.get(&first, "/auth/me").await.problem(401, "invalid_token");
    api.post_open("/auth/refresh", json!({"refresh_token": "nonsense"})).await.problem(401, "invalid_refresh_token");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn of_many_that_refresh_at_once_one_succeeds(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let body = json!({"refresh_token": admin.refresh_token});
    let replies = futures::future::join_all((0..8).map(|_| api.post_open("/auth/refresh", body.clone()))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert!(replies.iter().all(|reply| [200, 401].contains(&reply.status)));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn refresh_tokens_end_after_a_week_unused_and_sessions_after_a_month(root: PgPool) {
    let api = Api::start(&root);
    let mut who = api.agency("acme").await;
    for _ in 0..4 {
        api.advance(TimeDelta::days(7) - TimeDelta::seconds(1));
        let body = json!({"refresh_token": who.refresh_token});
        who = person(&api.post_open("/auth/refresh", body).await.expect(200));
    }
    // Day 28: the token would be good to day 35, but the session ends on day 30.
    api.advance(TimeDelta::days(2) + TimeDelta::seconds(5));
    let body = json!({"refresh_token": who.refresh_token});
    api.post_open("/auth/refresh", body).await.problem(401, "invalid_refresh_token");

    let idle = api.login(&who.email).await;
    api.advance(TimeDelta::days(7));
    let body = json!({"refresh_token": idle.refresh_token});
    api.post_open("/auth/refresh", body).await.problem(401, "invalid_refresh_token");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn signing_out_acts_on_the_next_request_and_on_this_session_only(root: PgPool) {
    let api = Api::start(&root);
    let laptop = api.agency("acme").await;
    let phone = api.login(&laptop.email).await;
    api.get(&laptop, "/auth/me").await.expect(200);
    let body = json!({"refresh_token": laptop.refresh_token});
    api.post_open("/auth/logout", body.clone()).await.expect(204);
    api.get(&laptop, "/auth/me").await.problem(401, "invalid_token");
    api.post_open("/auth/refresh", body.clone()).await.problem(401, "invalid_refresh_token");
    api.post_open("/auth/logout", body).await.expect(204);
    api.post_open("/auth/logout", json!({"refresh_token": "x"})).await.problem(401, "invalid_refresh_token");
    api.get(&phone, "/auth/me").await.expect(200);
}

/// Changed behind the process's back: nothing of a session's state is remembered.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn demotion_deactivation_and_suspension_act_on_the_next_request(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    api.get(&admin, "/users").await.expect(200);
    sqlx::query("update users set role = 'team_member'").execute(&root).await.unwrap();
    api.get(&admin, "/users").await.problem(403, "role_too_low");

    sqlx::query("update users set status = 'deactivated'").execute(&root).await.unwrap();
    api.get(&admin, "/auth/me").await.problem(401, "invalid_token");
    let login = json!({"email": admin.email, "password": PASSWORD});
    api.post_open("/auth/login", login.clone()).await.problem(403, "account_deactivated");
    let refresh = json!({"refresh_token": admin.refresh_token});
    api.post_open("/auth/refresh", refresh).await.problem(403, "account_deactivated");

    sqlx::query("update users set status = 'active'").execute(&root).await.unwrap();
    api.get(&admin, "/auth/me").await.expect(200);
    sqlx::query("update agencies set status = 'suspended'").execute(&root).await.unwrap();
    api.get(&admin, "/auth/me").await.problem(401, "invalid_token");
    api.post_open("/auth/login", login).await.problem(403, "agency_suspended");
}

/// Requests of many agencies at once share a statement and never an answer.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn requests_that_are_checked_together_keep_their_own_callers(root: PgPool) {
    let api = Api::start(&root);
    let mut people = Vec::new();
    for n in 0..6 {
        people.push(api.agency(&format!("agency-{n}")).await);
    }
    api.post_open("/auth/logout", json!({"refresh_token": people[3].refresh_token})).await.expect(204);
    let calls = (0..120).map(|n| api.get(&people[n % people.len()], "/auth/me"));
    for (n, reply) in futures::future::join_all(calls).await.into_iter().enumerate() {
        let who = n % people.len();
        if who == 3 {
            reply.problem(401, "invalid_token");
        } else {
            assert_eq!(reply.expect(200)["id"], people[who].user_id.as_str());
        }
    }
}

/// Not the words alone: an unknown address costs as much work as a known one.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_unknown_address_takes_as_long_as_a_known_one(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    let mut fastest = [std::time::Duration::MAX; 2];
    for _ in 0..5 {
        for (n, email) in [admin.email.as_str(), "nobody@acme.example"].into_iter().enumerate() {
            let login = json!({"email": email, "password": "not the password"});
            let started = tokio::time::Instant::now();
            api.post_open("/auth/login", login).await.problem(401, "invalid_credentials");
            fastest[n] = fastest[n].min(started.elapsed());
        }
    }
    // Without the dummy hash the unknown one takes a tenth.
    assert!(fastest[1] * 2 > fastest[0], "known {:?}, unknown {:?}", fastest[0], fastest[1]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn guessing_slows_down_and_never_locks_for_good(root: PgPool) {
    let api = Api::start(&root);
    let admin = api.agency("acme").await;
    for email in [admin.email.as_str(), "nobody@acme.example"] {
        let wrong = json!({"email": email, "password": "not the password"});
        for _ in 0..6 {
            api.post_open("/auth/login", wrong.clone()).await.problem(401, "invalid_credentials");
        }
        // Five were free; the sixth cost a second, for the right password too.
        let right = json!({"email": email, "password": PASSWORD});
        let reply = api.post_open("/auth/login", right).await;
        assert_eq!(reply.header("retry-after"), Some("1"));
        reply.problem(429, "too_many_failures");
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let reply = api.post_open("/auth/login", wrong.clone()).await;
            assert_eq!(reply.header("retry-after"), Some(wait.to_string().as_str()));
            api.advance(TimeDelta::seconds(wait));
            api.post_open("/auth/login", wrong.clone()).await.problem(401, "invalid_credentials");
        }
        api.advance(TimeDelta::seconds(900));
    }
    api.login(&admin.email).await;
    // Signing in cleared the count.
    let wrong = json!({"email": admin.email, "password": "not the password"});
    api.post_open("/auth/login", wrong).await.problem(401, "invalid_credentials");
    api.login(&admin.email).await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_day_without_failures_starts_the_count_anew(root: PgPool) {
    let api = Api::start(&root);
    let wrong = json!({"email": "nobody@acme.example", "password": "not the password"});
    for _ in 0..6 {
        api.post_open("/auth/login", wrong.clone()).await.problem(401, "invalid_credentials");
    }
    api.advance(TimeDelta::hours(25));
    for _ in 0..6 {
        api.post_open("/auth/login", wrong.clone()).await.problem(401, "invalid_credentials");
    }
    // Another address's failures drop what is old.
    api.advance(TimeDelta::hours(25));
    let other = json!({"email": "other@acme.example", "password": "not the password"});
    api.post_open("/auth/login", other).await.problem(401, "invalid_credentials");
    let rows: i64 = sqlx::query_scalar("select count(*) from login_throttle").fetch_one(&root).await.unwrap();
    assert_eq!(rows, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn changing_the_password_ends_the_other_sessions(root: PgPool) {
    let api = Api::start(&root);
    let laptop = api.agency("acme").await;
    let phone = api.login(&laptop.email).await;
    api.get(&phone, "/auth/me").await.expect(200);
    let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    let wrong = change("not the password", "another long secret");
    api.post(&laptop, "/auth/password", wrong).await.problem(401, "invalid_credentials");
    api.post(&laptop, "/auth/password", change(PASSWORD, "short")).await.invalid(&["new_password"]);
    api.post(&laptop, "/auth/password", change(PASSWORD, "another long secret")).await.expect(204);
    api.get(&laptop, "/auth/me").await.expect(200);
    api.get(&phone, "/auth/me").await.problem(401, "invalid_token");
    let login = |password: &str| json!({"email": laptop.email, "password": password});
    api.post_open("/auth/login", login(PASSWORD)).await.problem(401, "invalid_credentials");
    api.post_open("/auth/login", login("another long secret")).await.expect(200);
}
