//! `teamai audit verify`: a ledger that somebody worked on is found out.

use std::process::{Command, Output};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, PgPool};

use crate::fixture::{self, Tenant};

fn verify(root: &PgPool, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_teamai"))
        .args(["audit", "verify"])
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", root.connect_options().to_url_lossy().as_str())
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap()
}

fn found(root: &PgPool) -> (Option<i32>, Value) {
    let output = verify(root, &["--json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// As many lines as asked for, through the function that every line goes through.
async fn lines(root: &PgPool, tenant: Tenant, n: u32) {
    let mut tx = root.begin().await.unwrap();
    sqlx::query("set local role teamai_definer").execute(&mut *tx).await.unwrap();
    for call in 1..=n {
        let line = format!(
            "select app.append_audit(array[row(gen_random_uuid(), '{}', '{}', 'ask', 0, {call}, '{}', '{}', '{}', 'llm',
               'scripted', 'small', 'success', 3, '{{}}', '{{}}', 0.5, 0, null, false, '{{}}', 1, null,
               clock_timestamp(), 0, '', '')::audit_logs])",
            tenant.agency,
            fixture::id(),
            tenant.team,
            tenant.agent,
            tenant.recipe
        );
        sqlx::query(AssertSqlSafe(line)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// What only somebody with the keys to the database can do, beside the triggers.
async fn tamper(root: &PgPool, statement: &str) {
    let mut tx = root.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    assert_eq!(sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await.unwrap().rows_affected(), 1);
    tx.commit().await.unwrap();
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_changed_or_missing_line_is_found(root: PgPool) {
    let (one, other) = (fixture::tenant(&root).await, fixture::tenant(&root).await);
    assert_eq!(found(&root), (Some(0), json!({"whole": true, "ledgers": []})));
    lines(&root, one, 5).await;
    lines(&root, other, 2).await;
    let (code, report) = found(&root);
    assert_eq!((code, &report["whole"]), (Some(0), &json!(true)), "{report}");
    assert_eq!(report["ledgers"].as_array().unwrap().iter().map(|l| l["lines"].as_i64().unwrap()).sum::<i64>(), 7);

    let agency = one.agency.to_string();
    let faults = || {
        let (code, report) = found(&root);
        assert_eq!((code, &report["whole"]), (Some(1), &json!(false)), "{report}");
        let ledgers = report["ledgers"].as_array().unwrap().clone();
        let (ours, theirs): (Vec<_>, Vec<_>) = ledgers.into_iter().partition(|l| l["agency_id"] == agency.as_str());
        assert_eq!(theirs[0]["faults"], json!([]), "the other agency's ledger is whole");
        let faults = ours[0]["faults"].as_array().unwrap().iter().map(|f| json!([f["seq"], f["kind"]]));
        faults.collect::<Value>()
    };
    let at = |seq: i64| format!("where seq = {seq} and agency_id = '{agency}'");
    tamper(&root, &format!("update audit_logs set cost_usd = 0.1 {}", at(2))).await;
    assert_eq!(faults(), json!([[2, "changed"]]));
    tamper(&root, &format!("update audit_logs set hash = app.audit_hash(audit_logs) {}", at(2))).await;
    assert_eq!(faults(), json!([[3, "unlinked"]]), "the line was given a hash that fits");
    tamper(&root, &format!("delete from audit_logs {}", at(3))).await;
    assert_eq!(faults(), json!([[4, "missing_before"]]));

    let output = verify(&root, &["--agency", &agency]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains(&format!("agency {agency}, line 4"))
            && told.contains("ledgers read: 1, with 4 lines; not as they were written: 1"),
        "{told}"
    );
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_missing_end_is_found(root: PgPool) {
    let tenant = fixture::tenant(&root).await;
    lines(&root, tenant, 3).await;
    tamper(&root, "delete from audit_logs where seq = 3").await;
    let (code, report) = found(&root);
    let faults = &report["ledgers"][0]["faults"];
    assert_eq!((code, faults), (Some(1), &json!([{"seq": 3, "id": null, "kind": "end_missing"}])), "{report}");
}
