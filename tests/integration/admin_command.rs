//! `teamai admin`: the first agency of an installation, and a way back into one.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};

use crate::support::{Api, person};

fn admin(root: &PgPool, arguments: &[&str], stdin: &str) -> Output {
    let owner = root.connect_options().to_url_lossy().to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_teamai"))
        .arg("admin")
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", owner)
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_operator_makes_an_agency_whose_admin_signs_in(root: PgPool) {
    let api = Api::start(&root);
    let arguments = ["create-agency", "--name", "Acme", "--email", "Ana@Acme.example", "--json"];
    let made = json_of(&admin(&root, &arguments, ""));
    let login = json!({"email": "ana@acme.example", "password": made["password"]});
    let ana = person(&api.post_open("/auth/login", login).await.expect(200));
    assert_eq!((json!(ana.agency_id), json!(ana.user_id)), (made["agency_id"].clone(), made["user_id"].clone()));
    api.get(&ana, "/users").await.expect(200);

    let taken = admin(&root, &arguments, "");
    assert_eq!(taken.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&taken.stderr).contains("exists already"));
    let agencies: i64 = sqlx::query_scalar("select count(*) from agencies").fetch_one(&root).await.unwrap();
    assert_eq!(agencies, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_agency_that_has_lost_its_admins_gets_one(root: PgPool) {
    let api = Api::start(&root);
    let lost = api.agency("acme").await;
    sqlx::query("update users set status = 'deactivated'").execute(&root).await.unwrap();
    let arguments = ["create-admin", "--agency", &lost.agency_id, "--email", "ben@acme.example", "--password-stdin"];
    let made = admin(&root, &arguments, "a quiet afternoon\n");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(!String::from_utf8_lossy(&made.stdout).contains("quiet"));
    let login = json!({"email": "ben@acme.example", "password": "a quiet afternoon"});
    let ben = person(&api.post_open("/auth/login", login).await.expect(200));
    assert_eq!(ben.agency_id, lost.agency_id);
    api.get(&ben, "/users").await.expect(200);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_is_wrong_is_told_and_nothing_is_made(root: PgPool) {
    let nobody = "0197f3c0-0000-7000-8000-000000000000";
    let create = |more: &[&'static str]| [&["create-agency", "--name", "Acme"], more].concat();
    for (arguments, stdin, told) in [
        (create(&["--email", "ana"]), "", "must be an e-mail address"),
        (create(&["--email", "ana@acme.example", "--password-stdin"]), "short\n", "at least 12 characters"),
        (create(&["--email", "ana@acme.example", "--password-stdin"]), "", "no password on standard input"),
        (vec!["create-admin", "--agency", nobody, "--email", "ana@acme.example"], "", "there is no agency"),
    ] {
        let refused = admin(&root, &arguments, stdin);
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_closed_registration_leaves_the_agencies_to_the_operator(root: PgPool) {
    let stack = crate::stack::Stack::start(&root, &[("TEAMAI_AUTH__REGISTRATION", "closed")]).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({"agency_name": "Acme", "email": "ana@acme.example", "password": "plenty of daylight"});
    let answer = http.post(format!("{}/auth/register", stack.base)).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.json::<Value>().await.unwrap()["code"], "registration_closed");
    let arguments = ["create-agency", "--name", "Acme", "--email", "ana@acme.example", "--password-stdin"];
    assert!(admin(&root, &arguments, "plenty of daylight\n").status.success());
    let body = json!({"email": "ana@acme.example", "password": "plenty of daylight"});
    let answer = http.post(format!("{}/auth/login", stack.base)).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
