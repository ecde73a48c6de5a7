//! The API's doors compare what they are told with the context, or are opened before there is one.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};
use teamai::{
    base::{AgencyId, TaskId},
    db::lane::Flush,
    events::event::{Followed, newest},
    tasks::submit::submission::{SubmitFlush, Written},
};
use uuid::Uuid;

use super::{Ids, act, code, count, enter, run_in, seed};
use crate::fixture::{self, id, now};

/// Functions of the API that compare nothing, as they are for when no tenant is known, or tell of none.
const COMPARE_NOTHING: &[(&str, &str)] = &[
    ("app.user_by_email", "signing in: whoever has the password shows whose it is"),
    ("app.refresh_token_by_hash", "refreshing: whoever has the token shows whose it is"),
    ("app.sessions_in_force", "the look that makes a context: asked for ids out of a signed token"),
    ("app.api_keys_in_force", "the look that makes a context: asked for with the key's secret"),
    ("app.pending_invite", "accepting: whoever has the token shows whose it is"),
    ("app.user_by_oidc", "signing in: the provider's word shows whose it is"),
    ("app.oidc_code_by_hash", "exchanging: whoever has code and cookie shows whose it is"),
    ("app.pending_invites_by_email", "signing in: the provider's word for the address shows whose it is"),
    ("app.root_keys_in_use", "takes nothing, and gives numbers over the whole installation"),
    ("app.work_stands", "takes seconds, and gives yes or no over the whole installation"),
];

/// What each of the others is told of a tenant, after which state of its task: in that
/// tenant's context it does something, in another's and in none nothing at all.
const TOLD: &[(&str, &str, &str)] = &[
    (
        "app.submit_tasks",
        "completed",
        "select count(*) from app.submit_tasks(array[row(gen_random_uuid(), {agency}, null, {agent}, {user}, {recipe}, 'r',
           '1', null, null, null, 5, '{}', null, 1, '{}', null, gen_random_uuid(), null, null, gen_random_uuid(), null,
           null)::app.submission])",
    ),
    (
        "app.retry_task",
        "dead",
        "select count(*) from app.retry_task({task}, row(gen_random_uuid(), {agency}, null, {agent}, {user}, {recipe}, 'r',
           '1', null, null, null, 5, '{}', null, 1, '{}', null, gen_random_uuid(), null, null, gen_random_uuid(), null,
           null)::app.submission, '{}')",
    ),
    ("app.requeue_dead", "dead", "select count(*) from app.requeue_dead({task})"),
    ("app.close_unrun", "dead", "select coalesce(length(app.close_unrun(array[{task}]::uuid[])::text), 0)::bigint"),
    (
        "app.rate_task",
        "completed",
        "select count(*) from app.rate_task({task}, null, {user}, 0.5, null) said where said <> 'unknown'",
    ),
    (
        "app.newest_events",
        "completed",
        "select count(*) from app.newest_events(array[{task}]::uuid[], array['-infinity']::timestamptz[])",
    ),
];

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_door_of_the_api_compares_with_the_context_or_says_why_not(root: PgPool) {
    let rows = sqlx::query(
        r"select p.pronamespace::regnamespace || '.' || p.proname, regexp_replace(p.prosrc, '--[^\n]*', '', 'g')
            from pg_proc p where p.prosecdef and has_function_privilege('teamai_api', p.oid, 'execute')",
    )
    .fetch_all(&root)
    .await
    .unwrap();
    let mut found = BTreeSet::new();
    for row in &rows {
        let (name, body): (String, String) = (row.get(0), row.get(1));
        let compares = ["= app.agency()", "is distinct from app.agency()"].iter().any(|how| body.contains(how));
        if let Some((_, reason)) = COMPARE_NOTHING.iter().find(|(listed, _)| *listed == name) {
            assert!(!compares && !reason.is_empty(), "{name} compares: take it off COMPARE_NOTHING");
        } else {
            assert!(compares, "{name} believes the agency that it is told: compare with app.agency(), or say why not");
            assert!(TOLD.iter().any(|(listed, ..)| *listed == name), "{name}: say in TOLD how it is tried");
        }
        found.insert(name);
    }
    for name in COMPARE_NOTHING.iter().map(|(name, _)| name).chain(TOLD.iter().map(|(name, ..)| name)) {
        assert!(found.contains(*name), "{name} is no function of the API any more");
    }
}

/// Everything that a tenant has in the tables that the doors write.
async fn all_rows(connection: &mut PgConnection) -> String {
    let of = |table| format!("(select coalesce(string_agg(t::text, e'\\n' order by t::text), '') from {table} t)");
    let tables = ["task_queue", "task_steps", "task_feedback", "audit_logs", "ab_test_results", "task_events"];
    let query = format!("select md5({})", tables.map(of).join(" || "));
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(connection).await.unwrap()
}

/// What a call as the API gives, and whether it changed anything. Nothing is kept.
async fn tried(root: &PgPool, context: Option<Uuid>, before: &str, call: &str) -> (Result<i64, String>, bool) {
    let mut tx = root.begin().await.unwrap();
    sqlx::query(AssertSqlSafe(before.to_owned())).execute(&mut *tx).await.unwrap();
    let rows = all_rows(&mut tx).await;
    enter(&mut tx, "teamai_api", context).await;
    match sqlx::query_scalar(AssertSqlSafe(call.to_owned())).fetch_one(&mut *tx).await {
        Ok(given) => {
            sqlx::query("reset role").execute(&mut *tx).await.unwrap();
            (Ok(given), all_rows(&mut tx).await != rows)
        }
        Err(error) => (Err(code(&error)), false),
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_a_door_is_told_of_another_agency_does_nothing(root: PgPool) {
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    for (name, status, call) in TOLD {
        let before =
            theirs.fill(&format!("update task_queue set status = '{status}', finished_at = now() where id = {{task}}"));
        let call = theirs.fill(call);
        let (given, changed) = tried(&root, Some(theirs.agency()), &before, &call).await;
        assert!(changed || given.as_ref().is_ok_and(|given| *given > 0), "{name} does nothing at all: {given:?}");
        for context in [Some(own.agency()), None] {
            let (given, changed) = tried(&root, context, &before, &call).await;
            assert!(
                !changed && (given == Ok(0) || given == Err("42501".to_owned())),
                "{name} in {context:?}: {given:?}"
            );
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_batch_of_many_agencies_is_written_and_read_in_the_context_of_each(root: PgPool) {
    let tenants = [fixture::tenant(&root).await, fixture::tenant(&root).await, fixture::tenant(&root).await];
    let pool = fixture::as_role(&root, "teamai_api").await;
    // By turns, so that no agency's tasks lie together.
    let batch: Vec<_> = (0..9).map(|n| vec![fixture::submission(tenants[n % 3])]).collect();
    let answers = SubmitFlush::new(pool.clone()).flush(&batch).await.unwrap();
    assert_eq!(answers.len(), batch.len());
    for (n, answer) in answers.iter().enumerate() {
        let [Written::Created { team_id, .. }] = &answer[..] else { panic!("{answer:?}") };
        assert_eq!(team_id.0, tenants[n % 3].team, "in the order of the batch");
    }
    let followed = |n: usize, agency: Uuid| Followed {
        agency: AgencyId(agency),
        task: TaskId(batch[n][0].id),
        created_at: now() - chrono::TimeDelta::minutes(1),
    };
    let all = (0..9).map(|n| followed(n, tenants[n % 3].agency)).collect();
    let found: BTreeSet<_> = newest(&pool, all).await.unwrap().into_iter().map(|(task, _)| task.0).collect();
    assert_eq!(found, batch.iter().map(|group| group[0].id).collect());
    let foreign = (0..9).map(|n| followed(n, tenants[(n + 1) % 3].agency)).collect();
    assert_eq!(newest(&pool, foreign).await.unwrap(), []);

    // The context ended with the statement, on a connection that others use.
    let left = "select coalesce(nullif(concat(current_setting('app.agency_id', true), current_setting('app.batch', true)), ''), 'none')";
    for _ in 0..3 {
        assert_eq!(sqlx::query_scalar::<_, String>(left).fetch_one(&pool).await.unwrap(), "none");
    }
}

fn submission(task: Uuid, of: &Ids, agent_and_recipe: &str) -> String {
    of.fill(&format!(
        "select outcome from app.submit_tasks(array[row('{task}', {{agency}}, null, {agent_and_recipe}, 'r', '1', null,
           null, null, 5, '{{}}', null, 1, '{{}}', null, gen_random_uuid(), null, null, '{task}', null, null)::app.submission])"
    ))
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_task_is_submitted_for_ones_own_agent_and_recipe_alone(root: PgPool) {
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    let cases = [
        (own.fill("{agent}, {user}, {recipe}"), "created"),
        (theirs.fill("{agent}, null, ") + &own.fill("{recipe}"), "agent_unknown"),
        (own.fill("{agent}, null, ") + &theirs.fill("{recipe}"), "recipe_unknown"),
    ];
    for (refers, expected) in cases {
        let task = id();
        let rows = run_in(&root, "teamai_api", Some(own.agency()), submission(task, &own, &refers)).await;
        assert_eq!(rows[0].get::<String, _>(0), expected);
        let made = format!("select count(*) from task_queue where id = '{task}'");
        assert_eq!(count(&root, "postgres", None, &made).await, i64::from(expected == "created"));
    }
    // Another agency's person cannot have asked for it.
    let forged = submission(id(), &own, &(own.fill("{agent}, ") + &theirs.fill("{user}, ") + &own.fill("{recipe}")));
    assert_eq!(act(&root, "teamai_api", Some(own.agency()), &forged).await, Err("23503".to_owned()));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn retry_and_requeue_reach_into_no_other_agency(root: PgPool) {
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    let end = |of: &Ids| of.fill("update task_queue set status = 'dead', finished_at = now() where id = {task}");
    for of in [&own, &theirs] {
        sqlx::query(AssertSqlSafe(end(of))).execute(&root).await.unwrap();
    }
    let retry = |of: &Ids, task: Uuid| {
        let call = format!(
            "select outcome from app.retry_task({}, row('{task}', {{agency}}, null, {{agent}}, null, {{recipe}}, 'r', '1',
               null, null, null, 5, '{{}}', null, 1, '{{}}', null, gen_random_uuid(), null, null, '{task}', null, null)::app.submission,
               array[{}::text])",
            of.fill("{task}"),
            of.fill("{agency}"),
        );
        own.fill(&call)
    };
    let (foreign, new) = (id(), id());
    assert_eq!(
        run_in(&root, "teamai_api", Some(own.agency()), retry(&theirs, foreign)).await[0].get::<String, _>(0),
        "not_finished"
    );
    assert_eq!(
        run_in(&root, "teamai_api", Some(own.agency()), retry(&own, new)).await[0].get::<String, _>(0),
        "created"
    );
    let copied = format!("select count(*) from task_steps where task_id = '{new}' and copied_from is not null");
    assert_eq!(count(&root, "postgres", None, &copied).await, 1);

    for (of, put_back) in [(&theirs, 0), (&own, 1)] {
        let call = of.fill("select count(*) from app.requeue_dead({task})");
        assert_eq!(count(&root, "teamai_api", Some(own.agency()), &call).await, put_back);
    }
    let call = own.fill("select count(*) from app.requeue_dead({task})");
    assert_eq!(count(&root, "teamai_api", None, &call).await, 0, "without a context");
}
