//! The ledger is added to and never changed, by whoever asks.

use sqlx::PgPool;

use super::{ROLES, act, count, open_every_grant, seed};

const CHANGES: [&str; 4] = [
    "update audit_logs set cost_usd = 0",
    "delete from audit_logs",
    "truncate audit_logs",
    "truncate agencies cascade",
];

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn no_role_changes_a_line(root: PgPool) {
    let own = seed(&root).await;
    for statement in CHANGES {
        for role in ROLES {
            let refused = act(&root, role, Some(own.agency()), statement).await;
            assert_eq!(refused, Err("42501".to_owned()), "{role}: {statement}");
        }
    }
    // The functions' owner writes lines, and changes none.
    for statement in &CHANGES[..3] {
        let refused = act(&root, "teamai_definer", None, statement).await;
        assert_eq!(refused, Err("42501".to_owned()), "teamai_definer: {statement}");
    }
    assert_eq!(count(&root, "postgres", None, "select count(*) from audit_logs").await, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn no_right_helps_against_the_triggers(root: PgPool) {
    let own = seed(&root).await;
    open_every_grant(&root).await;
    sqlx::query("grant truncate on all tables in schema public to teamai_api, teamai_worker")
        .execute(&root)
        .await
        .unwrap();
    for statement in CHANGES {
        for role in ROLES.into_iter().chain(["postgres"]) {
            let refused = act(&root, role, Some(own.agency()), statement).await;
            assert_eq!(refused, Err("23001".to_owned()), "{role}: {statement}");
        }
    }
}
