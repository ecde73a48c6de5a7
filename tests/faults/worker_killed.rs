//! kill -9 of a worker: in the middle of a step, and between the provider's answer and the commit.

use std::time::Duration;

use sqlx::PgPool;

use super::{bench::Bench, proxy::Mode};

pub fn mid_step(bench: &mut Bench) {
    let last = u64::try_from(bench.workers.len() - 1).unwrap();
    let nth = usize::try_from(bench.random.within(0..=last)).unwrap();
    bench.workers.remove(nth).kill();
    bench.kills += 1;
    bench.hire();
}

/// The provider has answered, and nothing reaches Postgres any more when the workers die.
pub async fn between_answer_and_commit(bench: &mut Bench) {
    let (model, before) = ("scripted-slow-700", bench.times_asked("scripted-slow-700"));
    bench.load.submit_many(3, model).await;
    bench.asked(model, before + 1).await;
    bench.net.worker_postgres.set(Mode::Blackhole);
    // As long as the answer takes, and more than it takes to ask for the commit.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let workers = bench.workers.len();
    bench.kill_workers();
    // Either what was sent is lost, or it arrives when its sender is dead.
    if bench.random.within(0..=1) == 0 {
        bench.net.worker_postgres.cut();
    }
    bench.net.worker_postgres.set(Mode::Pass);
    for _ in 0..workers {
        bench.hire();
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn in_the_middle_of_a_step(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    for round in 1..=2 {
        bench.load.submit_many(10, "scripted-slow-900").await;
        bench.asked("scripted-slow-900", round * 5).await;
        // Of every worker, so that some of the calls are cut whoever makes them.
        let workers = bench.workers.len();
        bench.kill_workers();
        (0..workers).for_each(|_| bench.hire());
    }
    let findings = bench.holds().await;
    assert!(findings.unknown_lines > 0, "a call in flight was lost");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn between_the_answer_and_the_commit(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    between_answer_and_commit(&mut bench).await;
    bench.holds().await;
    between_answer_and_commit(&mut bench).await;
    bench.holds().await;
}
