//! Each guard is taken out once, and the checker must notice: it is no use if it cannot fail.

use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::{api_killed, bench::Bench, proxy::Mode, redis_gone, worker_paused};

async fn without(bench: &Bench, guard: &'static str) {
    sqlx::raw_sql(guard).execute(&bench.root).await.unwrap();
}

/// The epoch stays what it was at the first claim, so that every claim holds the fence.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn without_the_fence_two_workers_write_one_task(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    without(
        &bench,
        "create function no_fence() returns trigger language plpgsql as $$
         begin if old.epoch > 0 then new.epoch := old.epoch; end if; return new; end $$;
         create trigger no_fence before update on task_queue for each row execute function no_fence();",
    )
    .await;
    worker_paused::past_its_lease(&mut bench).await;
    bench.breaks("no line tells of").await;
}

/// Calls leave unannounced.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn without_the_intent_calls_are_missing_from_the_ledger(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    without(
        &bench,
        "create function no_intent() returns trigger language plpgsql as $$ begin return null; end $$;
         create trigger no_intent before insert on call_intents for each row execute function no_intent();",
    )
    .await;
    bench.load.submit_many(2, "scripted-small").await;
    bench.breaks("no line tells of").await;
}

/// Nobody looks for tasks whose ticket was never pushed.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn without_the_outbox_tasks_are_forgotten(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    bench.patience = Duration::from_secs(15);
    without(&bench, "alter function app.reclaim_tickets rename to reclaim_no_more").await;
    bench.load.submit_many(2, "scripted-small").await;
    api_killed::between_commit_and_push(&mut bench).await;
    redis_gone::flushed(&mut bench).await;
    bench.breaks("accepted tasks are queued").await;
}

/// A batch that is written again, because its answer was lost, is written twice.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn without_the_unique_keys_steps_are_there_twice(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    without(&bench, "alter table task_steps drop constraint task_steps_pkey").await;
    lose_the_answer_of_a_commit(&mut bench).await;
    bench.breaks("steps have more than one committed result").await;
}

/// A call stays open when its line is written, and nothing refuses another one.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn without_settling_once_calls_are_counted_twice(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    without(
        &bench,
        "create function open_for_ever() returns trigger language plpgsql as $$
         begin new.state := 'open'; return new; end $$;
         create trigger open_for_ever before update on call_intents for each row execute function open_for_ever();
         alter table audit_logs drop constraint audit_logs_call_key;
         alter table audit_logs drop constraint audit_logs_pkey;",
    )
    .await;
    lose_the_answer_of_a_commit(&mut bench).await;
    bench.breaks("have more than one line").await;
}

/// Results are committed and nobody hears of it, so that their batches are written
/// again. A connection that has yet to prepare its statement commits nothing when
/// it hears nothing: then it is tried again.
async fn lose_the_answer_of_a_commit(bench: &mut Bench) {
    let results = "select count(*) from task_steps where node_id = 'second'";
    for _ in 0..8 {
        bench.load.submit_many(8, "scripted-slow-900").await;
        bench.asked("scripted-slow-900", bench.times_asked("scripted-slow-900") + 1).await;
        bench.net.worker_postgres.set(Mode::Deaf);
        let before = bench.stack.count(results).await;
        let give_up = Instant::now() + Duration::from_secs(3);
        while bench.stack.count(results).await == before && Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bench.net.worker_postgres.cut();
        bench.net.worker_postgres.set(Mode::Pass);
        if bench.settled().await.settled_twice > 0 {
            return;
        }
    }
}
