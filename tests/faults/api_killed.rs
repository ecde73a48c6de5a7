//! kill -9 of the API after the task's row is committed and before its ticket is pushed.

use sqlx::PgPool;

use super::{bench::Bench, proxy::Mode};
use crate::stack::eventually;

pub async fn between_commit_and_push(bench: &mut Bench) {
    bench.net.api_redis.set(Mode::Blackhole);
    let before = tasks(bench).await;
    let load = bench.load.clone();
    let submitted = tokio::spawn(async move { load.submit_many(3, "scripted-small").await });
    eventually("the rows are committed", async || (tasks(bench).await > before).then_some(())).await;
    bench.kill_api().await;
    bench.net.api_redis.cut();
    bench.net.api_redis.set(Mode::Pass);
    bench.start_api().await;
    submitted.await.unwrap();
}

async fn tasks(bench: &Bench) -> i64 {
    sqlx::query_scalar("select count(*) from task_queue").fetch_one(&bench.root).await.unwrap_or_default()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn after_the_commit_and_before_the_push(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    for _ in 0..2 {
        between_commit_and_push(&mut bench).await;
    }
    let findings = bench.holds().await;
    assert_eq!(findings.ended["completed"], 6);
}
