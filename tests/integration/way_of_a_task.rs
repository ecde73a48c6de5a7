//! Submit, claim, record, finish: what the batch functions promise.

use rust_decimal::Decimal;
use serde_json::json;
use sqlx::PgPool;
use teamai::{
    base::{AgencyId, TaskId},
    db::{self, JsonText, lane::Flush},
    engine::record::{FinishWrite, IntentWrite, LineWrite, Record, RecordFlush, StepWrite},
    tasks::{
        lease::{self, ClaimFlush, Claimed},
        submit::submission::{Submission, SubmitFlush, Written},
    },
};
use uuid::Uuid;

use crate::fixture::{self, Tenant, id, now, submission};

struct Stores {
    api: SubmitFlush,
    claims: ClaimFlush,
    record: RecordFlush,
    worker: PgPool,
}

async fn stores(owner: &PgPool) -> Stores {
    let worker = fixture::as_role(owner, "teamai_worker").await;
    Stores {
        api: SubmitFlush::new(fixture::as_role(owner, "teamai_api").await),
        claims: ClaimFlush {
            pool: worker.clone(),
            worker: "w".to_owned(),
            lease_seconds: 60,
            max_claims: 3,
            alone_from: 4,
            agency_limit: None,
        },
        record: RecordFlush::new(worker.clone()),
        worker,
    }
}

impl Stores {
    async fn submit(&self, tenant: Tenant) -> Uuid {
        let new = submission(tenant);
        let id = new.id;
        let answers = self.api.flush(&[vec![new]]).await.unwrap().concat();
        assert!(matches!(answers[0], Written::Created { .. }), "{answers:?}");
        id
    }

    async fn claim(&self, task: Uuid) -> Option<Claimed> {
        self.claims.flush(&[TaskId(task)]).await.unwrap().remove(0)
    }

    async fn record(&self, claim: (Uuid, i64), record: Record) -> bool {
        self.record.flush(&[(claim, record)]).await.unwrap()[0]
    }
}

fn intent(claim: (Uuid, i64), call_no: i32) -> Record {
    let intent = IntentWrite {
        task_id: claim.0,
        epoch: claim.1,
        node_id: "ask".to_owned(),
        occurrence: 0,
        call_no,
        kind: "llm".to_owned(),
        provider: Some("openai".to_owned()),
        model: Some("m".to_owned()),
        request_hash: vec![0; 32],
        reserved_usd: Decimal::new(5, 2),
        price_id: None,
    };
    Record { intent: Some(intent), ..Record::default() }
}

fn settled(claim: (Uuid, i64), call_no: i32) -> Record {
    let line = LineWrite {
        id: id(),
        task_id: claim.0,
        epoch: claim.1,
        node_id: "ask".to_owned(),
        call_no,
        kind: "llm".to_owned(),
        status: "success".to_owned(),
        tokens_used: 120,
        cost_usd: Some(Decimal::new(2, 2)),
        timestamp: now(),
        ..LineWrite::default()
    };
    let step = StepWrite {
        task_id: claim.0,
        epoch: claim.1,
        node_id: "ask".to_owned(),
        occurrence: 0,
        status: "completed".to_owned(),
        attempts: 1,
        output: JsonText::of(&json!({"content": "yes"})).ok(),
        error: None,
        tokens_used: 120,
        cost_usd: Decimal::new(2, 2),
        started_at: now(),
        finished_at: now(),
        closes_node: true,
        cached: false,
    };
    Record { lines: vec![line], step: Some(step), ..Record::default() }
}

fn finish(claim: (Uuid, i64)) -> Record {
    let finish = FinishWrite {
        task_id: claim.0,
        epoch: claim.1,
        status: "completed".to_owned(),
        output: JsonText::of(&json!({"value": 1})).ok(),
        error: None,
        quality_score: None,
    };
    Record { finish: Some(finish), ..Record::default() }
}

async fn count(owner: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(owner).await.unwrap()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_task_goes_from_row_to_finish_with_one_line_a_call(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let stores = stores(&owner).await;
    let task = stores.submit(tenant).await;
    let claimed = stores.claim(task).await.unwrap();
    assert_eq!((claimed.epoch, claimed.attempt, claimed.status.as_str()), (1, 1, "running"));
    let claim = (task, claimed.epoch);
    assert!(stores.record(claim, intent(claim, 1)).await);
    assert!(stores.record(claim, settled(claim, 1)).await);
    // The answer of the batch was lost and it is sent again.
    assert!(stores.record(claim, settled(claim, 1)).await);
    assert!(stores.record(claim, finish(claim)).await);
    assert!(stores.record(claim, finish(claim)).await, "a repeated finish is told that it stands");

    let row: (String, i64, Decimal, i32) =
        sqlx::query_as("select status, tokens_used, cost_usd, steps_done from task_queue")
            .fetch_one(&owner)
            .await
            .unwrap();
    assert_eq!(row, ("completed".to_owned(), 120, Decimal::new(2, 2), 1));
    assert_eq!(count(&owner, "select count(*) from audit_logs").await, 1);
    assert_eq!(count(&owner, "select count(*) from call_intents where state = 'settled'").await, 1);
    assert!(stores.claim(task).await.is_none(), "a finished task is not claimed");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_stale_epoch_writes_nothing_even_beside_the_current_one(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let stores = stores(&owner).await;
    let task = stores.submit(tenant).await;
    let first = stores.claim(task).await.unwrap();
    sqlx::query("update task_queue set lease_until = now() - interval '1 s'").execute(&owner).await.unwrap();
    let second = stores.claim(task).await.unwrap();
    assert_eq!(second.epoch, first.epoch + 1);
    let (old, new) = ((task, first.epoch), (task, second.epoch));
    assert!(!stores.record(old, settled(old, 1)).await);
    let held = stores.record.flush(&[(old, finish(old)), (new, intent(new, 1))]).await.unwrap();
    assert_eq!(held, [false, true]);
    assert_eq!(count(&owner, "select count(*) from task_queue where status = 'running'").await, 1);
    assert_eq!(count(&owner, "select count(*) from task_steps").await, 0);
    assert_eq!(count(&owner, "select count(*) from audit_logs").await, 0);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_takeover_marks_the_lost_call_unknown_and_keeps_its_reservation(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let stores = stores(&owner).await;
    let task = stores.submit(tenant).await;
    let first = stores.claim(task).await.unwrap();
    assert!(stores.record((task, first.epoch), intent((task, first.epoch), 1)).await);
    assert!(stores.claim(task).await.is_none(), "a live lease is not taken");
    sqlx::query("update task_queue set lease_until = now() - interval '1 s'").execute(&owner).await.unwrap();
    let second = stores.claim(task).await.unwrap();
    assert_eq!(second.cost_usd, Decimal::new(5, 2));
    let line: (String, bool, Decimal, i32) =
        sqlx::query_as("select status, estimated, cost_usd, call_no from audit_logs").fetch_one(&owner).await.unwrap();
    assert_eq!(line, ("unknown".to_owned(), true, Decimal::new(5, 2), 1));
    // The old worker's answer comes after all: too late.
    let old = (task, first.epoch);
    assert!(!stores.record(old, settled(old, 1)).await);
    assert_eq!(count(&owner, "select count(*) from audit_logs").await, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_task_claimed_too_often_is_dead_and_a_hand_back_does_not_count(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let stores = stores(&owner).await;
    let task = stores.submit(tenant).await;
    for _ in 0..5 {
        let claimed = stores.claim(task).await.unwrap();
        let released = lease::release(&stores.worker, &[task], &[claimed.epoch]).await.unwrap();
        assert_eq!(released, [task]);
    }
    for expected in ["running", "running", "running", "dead"] {
        assert_eq!(stores.claim(task).await.unwrap().status, expected);
        sqlx::query("update task_queue set lease_until = now() - interval '1 s' where status = 'running'")
            .execute(&owner)
            .await
            .unwrap();
    }
    let code: String = sqlx::query_scalar("select error ->> 'code' from task_queue").fetch_one(&owner).await.unwrap();
    assert_eq!(code, "claimed_too_often");
    let lines = "select count(*) from audit_logs where kind = 'execution' and status = 'failed' and billed_usd = 0";
    assert_eq!(count(&owner, lines).await, 1, "one for each task, also for one without a run");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn cancelling_what_was_handed_back_accounts_for_the_call_that_was_left_open(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let stores = stores(&owner).await;
    let task = stores.submit(tenant).await;
    let claim = (task, stores.claim(task).await.unwrap().epoch);
    assert!(stores.record(claim, intent(claim, 1)).await);
    lease::release(&stores.worker, &[task], &[claim.1]).await.unwrap();
    sqlx::query("update task_queue set status = 'cancelled', finished_at = now()").execute(&owner).await.unwrap();
    for _ in 0..2 {
        let mut tx = db::tenant(&owner, AgencyId(tenant.agency)).await.unwrap();
        sqlx::query("select app.close_unrun(array[$1])").bind(task).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
    let lines: Vec<(String, String)> =
        sqlx::query_as("select kind, status from audit_logs order by seq").fetch_all(&owner).await.unwrap();
    let expected = [("llm", "unknown"), ("execution", "failed")].map(|(kind, status)| (kind.into(), status.into()));
    assert_eq!(lines, expected, "once, however often the books are closed");
    assert_eq!(count(&owner, "select count(*) from task_queue where cost_usd = 0.05").await, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_submission_for_a_stranger_s_agent_or_recipe_writes_nothing(owner: PgPool) {
    let (tenant, other) = (fixture::tenant(&owner).await, fixture::tenant(&owner).await);
    let stores = stores(&owner).await;
    let agent = Submission { agent_instance_id: other.agent, ..submission(tenant) };
    let recipe = Submission { recipe_id: other.recipe, ..submission(tenant) };
    let team = Submission { member_team_id: Some(other.team), ..submission(tenant) };
    let answers =
        stores.api.flush(&[agent, recipe, team, submission(tenant)].map(|one| vec![one])).await.unwrap().concat();
    assert_eq!(answers[..3], [Written::AgentUnknown, Written::RecipeUnknown, Written::AgentUnknown]);
    assert!(matches!(answers[3], Written::Created { .. }));
    assert_eq!(count(&owner, "select count(*) from task_queue").await, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn of_equal_idempotency_keys_one_wins_also_within_a_batch(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let stores = stores(&owner).await;
    let keyed =
        || Submission { idempotency_key: Some("k".to_owned()), request_hash: Some(vec![1; 32]), ..submission(tenant) };
    let batch = [vec![keyed()], vec![keyed()]];
    let answers = stores.api.flush(&batch).await.unwrap();
    assert!(matches!(answers[0][0], Written::Created { .. }));
    assert_eq!(answers[1], [Written::KeyTaken]);
    // The same batch again, its answer lost: the same answer.
    assert_eq!(stores.api.flush(&batch).await.unwrap(), answers);
    assert_eq!(stores.api.flush(&[vec![keyed()]]).await.unwrap(), [[Written::KeyTaken]]);
    assert_eq!(count(&owner, "select count(*) from task_queue").await, 1);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_chain_of_lines_is_whole_and_lines_cannot_be_changed(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let stores = stores(&owner).await;
    let task = stores.submit(tenant).await;
    let claim = (task, stores.claim(task).await.unwrap().epoch);
    for call_no in 1..=3 {
        assert!(stores.record(claim, intent(claim, call_no)).await);
        assert!(stores.record(claim, Record { step: None, ..settled(claim, call_no) }).await);
    }
    let broken =
        "select count(*) from (select a.*, lag(hash, 1, '\\x') over (order by seq) as before from audit_logs a) l
                   where l.prev_hash <> l.before";
    assert_eq!(count(&owner, broken).await, 0);
    assert_eq!(count(&owner, "select count(distinct hash) from audit_logs").await, 3);
    assert_eq!(count(&owner, "select count(*) from audit_logs l where hash <> app.audit_hash(l)").await, 0);
    for change in ["update audit_logs set cost_usd = 0", "delete from audit_logs", "truncate audit_logs"] {
        assert!(sqlx::query(change).execute(&owner).await.is_err(), "{change} went through");
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_batch_of_many_agencies_continues_each_agency_s_own_chain(owner: PgPool) {
    let tenants = [fixture::tenant(&owner).await, fixture::tenant(&owner).await];
    let stores = stores(&owner).await;
    let mut claims = Vec::new();
    for tenant in [tenants[0], tenants[1], tenants[0], tenants[1]] {
        let task = stores.submit(tenant).await;
        claims.push((task, stores.claim(task).await.unwrap().epoch));
    }
    for call_no in 1..=2 {
        for claim in &claims {
            assert!(stores.record(*claim, intent(*claim, call_no)).await);
        }
        let batch: Vec<_> = claims.iter().map(|c| (*c, Record { step: None, ..settled(*c, call_no) })).collect();
        assert_eq!(stores.record.flush(&batch).await.unwrap(), [true; 4]);
    }
    let broken = "select count(*) from (
        select a.*, lag(hash, 1, '\\x') over w as before, row_number() over w as place from audit_logs a
        window w as (partition by agency_id order by seq)) l
        where l.prev_hash <> l.before or l.seq <> l.place";
    assert_eq!(count(&owner, broken).await, 0);
    assert_eq!(count(&owner, "select count(*) from audit_logs l where hash <> app.audit_hash(l)").await, 0);
    let heads = "select count(*) from ledger_heads h join audit_logs l on (l.agency_id, l.seq, l.hash) = (h.agency_id, h.seq, h.hash)
                  where h.seq = 4";
    assert_eq!(count(&owner, heads).await, 2);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_repeated_finish_stands_beside_writes_of_other_tasks(owner: PgPool) {
    let tenant = fixture::tenant(&owner).await;
    let stores = stores(&owner).await;
    let mut claims = Vec::new();
    for _ in 0..3 {
        let task = stores.submit(tenant).await;
        claims.push((task, stores.claim(task).await.unwrap().epoch));
    }
    assert!(stores.record(claims[0], finish(claims[0])).await);
    let stale = (claims[2].0, claims[2].1 - 1);
    let batch = [
        (claims[0], finish(claims[0])),
        (claims[1], intent(claims[1], 1)),
        (claims[2], finish(claims[2])),
        (stale, intent(stale, 1)),
    ];
    assert_eq!(stores.record.flush(&batch).await.unwrap(), [true, true, true, false]);
}
