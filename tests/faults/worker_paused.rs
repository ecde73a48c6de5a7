//! A worker that is stopped past its lease and goes on as if nothing had been.

use sqlx::PgPool;

use super::bench::{Bench, LEASE};

/// Stops the oldest worker in the middle of calls; another takes its tasks over.
pub async fn past_its_lease(bench: &mut Bench) {
    let before = bench.times_asked("scripted-slow-1800");
    bench.load.submit_many(6, "scripted-slow-1800").await;
    bench.asked("scripted-slow-1800", before + 3).await;
    let paused = bench.workers.remove(0);
    paused.signal("STOP");
    let claims = taken_over(bench).await;
    let give_up = std::time::Instant::now() + LEASE * 4;
    // It goes on while another is at the same tasks.
    while taken_over(bench).await == claims && std::time::Instant::now() < give_up {
        bench.age_tickets().await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    paused.signal("CONT");
    bench.workers.push(paused);
}

async fn taken_over(bench: &Bench) -> i64 {
    let claims = "select coalesce(sum(epoch), 0)::bigint from task_queue where epoch > 1";
    sqlx::query_scalar(claims).fetch_one(&bench.root).await.unwrap_or_default()
}

#[sqlx::test(migrations = "./migrations")]
async fn past_its_lease_writes_nothing_more(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    past_its_lease(&mut bench).await;
    bench.holds().await;
    assert!(taken_over(&bench).await > 0, "somebody took over");
}
