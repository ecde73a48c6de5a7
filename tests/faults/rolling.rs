//! A rolling restart under load: workers of two builds side by side, the API one after the other.

use std::path::Path;

use sqlx::PgPool;

use super::{
    bench::{Bench, is_up},
    random::setting,
};

/// Each worker is replaced: first its successor, then its end in good order. With
/// `TEAMAI_OLD_BINARY` every other successor is of that build.
pub async fn restart(bench: &mut Bench) {
    let old = setting("TEAMAI_OLD_BINARY");
    for nth in 0..bench.workers.len() {
        let redis = format!("redis://{}", bench.net.worker_redis.address);
        let next = match &old {
            Some(old) if nth % 2 == 0 => bench.stack.worker_of(Path::new(old), &[("REDIS_URL", &redis)]),
            _ => bench.worker(&[]),
        };
        is_up(&next).await;
        is_up(&bench.workers[nth]).await;
        let mut last = std::mem::replace(&mut bench.workers[nth], next);
        assert_eq!(last.stop().await, Some(0), "it ends in good order");
    }
    assert_eq!(bench.stack.api.stop().await, Some(0));
    bench.start_api().await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn under_load(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    let load = bench.load.clone();
    let submitted = tokio::spawn(async move {
        for _ in 0..8 {
            load.submit_many(4, "scripted-slow-700").await;
        }
    });
    restart(&mut bench).await;
    restart(&mut bench).await;
    submitted.await.unwrap();
    let findings = bench.holds().await;
    assert_eq!(findings.ended["completed"], 32);
    let again = "select count(*) from task_queue where attempt <> 1";
    assert_eq!(bench.stack.count(again).await, 0, "an end in good order is no claim that failed");
}
