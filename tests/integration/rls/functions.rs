//! The doors through row-level security: functions that run as their definer, with the reason for each.

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool, Row};
use uuid::Uuid;

use super::{ROLES, act, count, run, seed};
use crate::fixture::id;

/// Every SECURITY DEFINER function, who may call it, and why it has to see more than one tenant.
const FUNCTIONS: &[(&str, &[&str], &str)] = &[
    ("app.user_by_email", &["teamai_api"], "signing in: the tenant is known only once the person is"),
    ("app.refresh_token_by_hash", &["teamai_api"], "refreshing: whoever has the token has no session yet"),
    (
        "app.sessions_in_force",
        &["teamai_api"],
        "many requests' tokens in one look; says nothing but what each token's own session may",
    ),
    ("app.api_keys_in_force", &["teamai_api"], "as sessions_in_force, for whoever has the key's secret"),
    ("app.pending_invite", &["teamai_api"], "accepting: whoever has the token has no account yet"),
    ("app.user_by_oidc", &["teamai_api"], "signing in: a provider's account says whose it is"),
    ("app.oidc_code_by_hash", &["teamai_api"], "exchanging: whoever has code and cookie has no session yet"),
    ("app.pending_invites_by_email", &["teamai_api"], "signing in: an invite waits in an agency that is not known yet"),
    ("app.submit_tasks", &["teamai_api"], "writes columns that no role may; tasks of the context's agency alone"),
    ("app.claim_tasks", &["teamai_worker"], "a ticket names a task, not its tenant; gives the task's own"),
    (
        "app.record_work",
        &["teamai_worker"],
        "many tasks' results in one commit; the tenant is the task's, held by its epoch",
    ),
    ("app.task_ended", &[], "the end of a task stops those it started and tells its own starter, all of its agency"),
    ("app.wake_waiting", &["teamai_worker"], "whatever waits and may go on, whosever it is; gives a number alone"),
    (
        "app.record_turns",
        &["teamai_worker"],
        "many agents' turns in one commit; the tenant is the task's, held by its epoch",
    ),
    ("app.close_unrun", &["teamai_api"], "appends to ledgers, which no role may; of the context's agency alone"),
    ("app.heartbeat", &["teamai_worker"], "one statement for all tasks of a worker, held by their epochs"),
    ("app.cancel_requests", &["teamai_worker"], "one statement for all tasks of a worker; tells ids that it was given"),
    ("app.release_tasks", &["teamai_worker"], "one statement for all tasks of a worker, held by their epochs"),
    (
        "app.dispatch_tasks",
        &["teamai_worker"],
        "by turns among all agencies, within the limits and pauses of each; gives ids alone",
    ),
    ("app.reclaim_tickets", &["teamai_worker"], "whose ticket or lease is gone, whosever it is; gives a number alone"),
    (
        "app.admit_set_aside",
        &["teamai_worker"],
        "the oldest that were set aside, whosever they are; gives a number alone",
    ),
    ("app.housekeep", &["teamai_worker"], "rolls cycles and drops what is old, for all; takes and gives nothing"),
    (
        "app.due_schedules",
        &["teamai_worker"],
        "schedules whose time has come, whosever they are; gives each with its own",
    ),
    (
        "app.fire_schedule",
        &["teamai_worker"],
        "makes a task as app.submit_tasks does; the tenant is the schedule's, held by its time",
    ),
    ("app.pass_schedule", &["teamai_worker"], "moves one schedule on, held by its time; gives yes or no"),
    ("app.prune_tasks", &["teamai_worker"], "drops finished tasks by their agency's own bound; gives a number"),
    ("app.retry_task", &["teamai_api"], "as submit_tasks; copies steps of a task of the same agency alone"),
    ("app.requeue_dead", &["teamai_api"], "writes columns that no role may, in a task of the context's agency alone"),
    ("app.rate_task", &["teamai_api"], "scores results, which no role may; of a task of the context's agency alone"),
    ("app.price_book", &["teamai_worker"], "a worker prices the calls of every agency; prices are no secrets"),
    ("app.note_new_tasks", &[], "a trigger: writes events, which no role may; the tenant is the row's own"),
    ("app.note_changed_tasks", &[], "as note_new_tasks"),
    ("app.note_new_steps", &[], "as note_new_tasks"),
    ("app.note_changed_steps", &[], "as note_new_tasks"),
    ("app.note_started_steps", &[], "as note_new_tasks"),
    (
        "app.keep_events",
        &["teamai_worker"],
        "makes and drops partitions, as their owner; takes a number, gives nothing",
    ),
    ("app.newest_events", &["teamai_api"], "numbers of events alone, of the context's agency"),
    ("app.claim_deliveries", &["teamai_worker"], "what is due to be sent, whosever it is; each with its own agency"),
    ("app.keep_deliveries", &["teamai_worker"], "drops what is old, for all; takes a number, gives nothing"),
    ("app.root_keys_in_use", &["teamai_api", "teamai_worker"], "the start compares root keys; gives ids and numbers"),
    ("app.work_stands", &["teamai_api", "teamai_worker"], "probes ask whether work moves; gives yes or no"),
];

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn every_door_is_listed_pinned_and_closed_to_others(root: PgPool) {
    let rows = sqlx::query(
        "select p.pronamespace::regnamespace || '.' || p.proname, p.proowner::regrole::text,
                array(select s from unnest(p.proconfig) s where s like 'search_path=%'),
                array(select coalesce(nullif(a.grantee, 0)::regrole::text, 'public')
                        from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                       where a.grantee <> p.proowner order by 1)
           from pg_proc p where p.prosecdef",
    )
    .fetch_all(&root)
    .await
    .unwrap();
    for row in &rows {
        let (name, owner, path, callers): (String, String, Vec<String>, Vec<String>) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let listed = FUNCTIONS.iter().find(|(known, ..)| *known == name);
        let (_, may, reason) = listed.unwrap_or_else(|| panic!("{name}: list it in rls/functions.rs, with a reason"));
        assert!(!reason.is_empty());
        assert_eq!(owner, "teamai_definer", "{name} runs with the wrong rights");
        assert_eq!(path, ["search_path=pg_catalog, pg_temp"], "{name}: a caller could choose what its names mean");
        assert_eq!(&callers, may, "{name}");
    }
    assert_eq!(rows.len(), FUNCTIONS.len(), "a function that is listed is gone");
}

/// Helpers of the doors run with the caller's rights, and are nobody's to call.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn helpers_that_write_are_nobodys_to_call(root: PgPool) {
    for role in ROLES {
        let may = "select count(*) from pg_proc p where p.pronamespace = 'app'::regnamespace and not p.prosecdef
                      and p.prorettype <> 'trigger'::regtype and p.proname <> 'agency' and p.proname <> 'protect'
                      and has_function_privilege(p.oid, 'execute')";
        assert_eq!(count(&root, role, None, may).await, 0, "{role}");
        let own = seed(&root).await;
        let protect = act(&root, role, Some(own.agency()), "select app.protect('login_throttle')").await;
        assert_eq!(protect, Err("42501".to_owned()), "{role} can only protect tables that it owns");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_claim_gives_the_tasks_own_agency_and_its_epoch_guards_every_write(root: PgPool) {
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    sqlx::query("delete from queue_pauses").execute(&root).await.unwrap();
    let both = [own.fill("{task}"), theirs.fill("{task}")].join(", ");
    let claim = format!("select id, agency_id, epoch from app.claim_tasks(array[{both}]::uuid[], 'w', 60, 3, null, 3)");
    let claimed = run(&root, "teamai_worker", claim.clone()).await;
    assert_eq!(claimed.len(), 2);
    for row in &claimed {
        let (task, agency): (Uuid, Uuid) = (row.get(0), row.get(1));
        let of_task = format!("select count(*) from task_queue where id = '{task}' and agency_id = '{agency}'");
        assert_eq!(count(&root, "postgres", None, &of_task).await, 1);
    }
    assert!(run(&root, "teamai_worker", claim).await.is_empty(), "claimed twice");

    // A step under the claim goes to the task's agency; under an older one nowhere.
    let record = |node: &str, epoch: i64| {
        own.fill(&format!(
            "select task_id from app.record_work('{{}}', '{{}}', array[row({{task}}, {epoch}, '{node}', 0, 'completed', 1,
               null, null, 0, 0, now(), now(), false, false)::app.result_write], '{{}}', '{{}}', '{{}}', '{{}}', '{{}}')"
        ))
    };
    assert_eq!(run(&root, "teamai_worker", record("fresh", 1)).await.len(), 1);
    assert_eq!(run(&root, "teamai_worker", record("stale", 0)).await.len(), 0);
    let steps = "select array_agg(agency_id) from task_steps where node_id in ('fresh', 'stale')";
    let written: Vec<Uuid> = sqlx::query_scalar(steps).fetch_one(&root).await.unwrap();
    assert_eq!(written, [own.agency()]);

    for (epoch, held) in [(0, 0), (1, 1)] {
        let progress = own.fill(&format!(
            "select task_id from app.record_work('{{}}', '{{}}', '{{}}', array[row({{task}}, {epoch}, 'tried', 0, 2, 0, 5, 0,
               null, now(), 1000)::app.try_write], '{{}}', '{{}}', '{{}}', '{{}}')"
        ));
        assert_eq!(run(&root, "teamai_worker", progress).await.len(), held, "tries of epoch {epoch}");
    }
    let tries = own
        .fill("select count(*) from node_progress where node_id = 'tried' and attempts = 2 and agency_id = {agency}");
    assert_eq!(count(&root, "postgres", None, &tries).await, 1);

    for (epoch, held) in [(0, 0), (1, 1)] {
        let turn = own.fill(&format!(
            "select task_id from app.record_turns('{{}}', array[row({{task}}, {epoch}, 'ask', 0, 7, '{{}}')::app.turn_write])"
        ));
        assert_eq!(run(&root, "teamai_worker", turn).await.len(), held, "a turn of epoch {epoch}");
        let turns =
            own.fill("select count(*) from agent_turns where nth = 7 and agency_id = {agency} and task_id = {task}");
        assert_eq!(count(&root, "postgres", None, &turns).await, i64::try_from(held).unwrap());
    }

    for (epoch, held) in [(0, 0), (1, 1)] {
        let beat =
            own.fill(&format!("select * from app.heartbeat(array[{{task}}]::uuid[], array[{epoch}::bigint], 60)"));
        assert_eq!(run(&root, "teamai_worker", beat).await.len(), held, "a heartbeat of epoch {epoch}");
    }
    let asked = own.fill("update task_queue set cancel_requested_at = now() where id = {task}");
    assert_eq!(act(&root, "teamai_api", Some(own.agency()), &asked).await, Ok(1));
    let cancelled =
        run(&root, "teamai_worker", format!("select * from app.cancel_requests(array[{both}]::uuid[])")).await;
    assert_eq!(cancelled.len(), 1);
    for (epoch, held) in [(0, 0), (1, 1)] {
        let release =
            own.fill(&format!("select * from app.release_tasks(array[{{task}}]::uuid[], array[{epoch}::bigint])"));
        assert_eq!(run(&root, "teamai_worker", release).await.len(), held, "a release of epoch {epoch}");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn dispatching_gives_ids_and_marks_them(root: PgPool) {
    let tenants = [seed(&root).await, seed(&root).await];
    // The rows that are seeded everywhere hold the agencies' work back.
    sqlx::query("delete from queue_pauses").execute(&root).await.unwrap();
    let dispatch = "select ids, dispatch_ids, more, held from app.dispatch_tasks(10, null)".to_owned();
    let rows = run(&root, "teamai_worker", dispatch.clone()).await;
    assert_eq!(rows[0].get::<Vec<Uuid>, _>(0).len(), tenants.len());
    let rows = run(&root, "teamai_worker", dispatch.clone()).await;
    assert!(rows[0].get::<Vec<Uuid>, _>(0).is_empty(), "dispatched twice");
    let reclaimed = run(&root, "teamai_worker", "select app.reclaim_tickets('{}', 0)".to_owned()).await;
    assert_eq!(reclaimed[0].get::<i64, _>(0), 2);
    assert_eq!(run(&root, "teamai_worker", dispatch).await[0].get::<Vec<Uuid>, _>(0).len(), 2);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn housekeeping_drops_what_has_had_its_day_and_no_more(root: PgPool) {
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    let aged = own.fill(
        "update idempotency_keys set created_at = now() - interval '25 hours' where agency_id = {agency};
         update stored_answers set created_at = now() - interval '25 hours' where agency_id = {agency};
         update schedule_fires set created_at = now() - interval '91 days' where agency_id = {agency};
         update sessions set expires_at = now() - interval '31 days' where agency_id = {agency}",
    );
    sqlx::raw_sql(AssertSqlSafe(aged)).execute(&root).await.unwrap();
    run(&root, "teamai_worker", "select app.housekeep()".to_owned()).await;
    for table in ["idempotency_keys", "stored_answers", "schedule_fires", "sessions"] {
        for (of, left) in [(&own, 0), (&theirs, 1)] {
            let rows = format!("select count(*) from {table} where agency_id = '{}'", of.agency());
            assert_eq!(count(&root, "postgres", None, &rows).await, left, "{table}");
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_doors_of_sign_in_answer_what_they_are_asked_for(root: PgPool) {
    let (own, _theirs) = (seed(&root).await, seed(&root).await);
    let by_email = own.fill("select agency_id from app.user_by_email({user} || '@example.com')");
    let by_hash = own.fill("select agency_id from app.refresh_token_by_hash(sha256(convert_to({token}, 'UTF8')))");
    for door in [by_email, by_hash] {
        let rows = run(&root, "teamai_api", door).await;
        assert_eq!(rows.iter().map(|row| row.get::<Uuid, _>(0)).collect::<Vec<_>>(), [own.agency()]);
    }
    for door in ["app.user_by_email('%')", "app.user_by_email(null)", "app.refresh_token_by_hash('')"] {
        assert!(run(&root, "teamai_api", format!("select * from {door}")).await.is_empty(), "{door}");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn doors_are_closed_to_the_other_role(root: PgPool) {
    for (name, may, _) in FUNCTIONS {
        let arguments: String = sqlx::query_scalar("select pg_get_function_identity_arguments($1::text::regproc)")
            .bind(name)
            .fetch_one(&root)
            .await
            .unwrap();
        let nulls = vec!["null"; arguments.split(',').filter(|one| !one.trim().is_empty()).count()].join(", ");
        for role in ROLES.iter().filter(|role| !may.contains(role)) {
            let refused = act(&root, role, None, &format!("select {name}({nulls})")).await;
            assert_eq!(refused, Err("42501".to_owned()), "{role} calls {name}");
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn root_keys_and_prices_are_told_without_what_they_belong_to(root: PgPool) {
    let (_own, _theirs) = (seed(&root).await, seed(&root).await);
    let keys = run(&root, "teamai_api", "select to_jsonb(k) from app.root_keys_in_use() k".to_owned()).await;
    let told: Vec<serde_json::Value> = keys.iter().map(|row| row.get(0)).collect();
    assert_eq!(told, [json!({"root_key_id": "root", "agency_keys": 2})]);
    let prices = run(&root, "teamai_worker", "select * from app.price_book()".to_owned()).await;
    assert_eq!(prices.len(), 2);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_schedule_makes_its_own_agencys_task_once_for_a_time(root: PgPool) {
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    let due = run(&root, "teamai_worker", "select id, agency_id from app.due_schedules(10, 60)".to_owned()).await;
    assert_eq!(due.len(), 2);
    let again = run(&root, "teamai_worker", "select id from app.due_schedules(10, 60)".to_owned()).await;
    assert!(again.is_empty(), "held twice");

    // The submission names another agency: the schedule's own counts.
    let fire = |task: Uuid| {
        own.fill(&format!(
            "select app.fire_schedule({{schedule}}, s.next_run_at, s.next_run_at, s.next_run_at + interval '1 day',
               row('{task}', '{}', null, {{agent}}, null, {{recipe}}, 'r', '1', null, null, null, 5, '{{}}', null, 1,
                   '{{}}', null, gen_random_uuid(), null, null, '{task}', null, null)::app.submission)
               from (select timestamptz '2026-01-01' as next_run_at) s",
            theirs.agency()
        ))
    };
    let outcome = async |task| run(&root, "teamai_worker", fire(task)).await[0].get::<String, _>(0);
    let (first, second) = (id(), id());
    assert_eq!(outcome(first).await, "created");
    assert_eq!(outcome(second).await, "gone", "the schedule has moved on");
    let back = own.fill("update schedules set next_run_at = '2026-01-01' where id = {schedule}");
    sqlx::query(AssertSqlSafe(back)).execute(&root).await.unwrap();
    assert_eq!(outcome(second).await, "gone", "the time has its task");
    let made = format!(
        "select count(*) from task_queue where agency_id = '{}' and id in ('{first}', '{second}')",
        own.agency()
    );
    assert_eq!(count(&root, "postgres", None, &made).await, 1);

    let pass = own.fill("select app.pass_schedule({schedule}, '2020-01-01', '2020-01-01', '2030-01-01', 'x')");
    assert!(!run(&root, "teamai_worker", pass).await[0].get::<bool, _>(0), "not at that time");
}
