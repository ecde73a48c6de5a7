//! Redis is flushed, stopped, stalled, cut off, and started again empty.

use sqlx::PgPool;

use super::{bench::Bench, proxy::Mode};

pub async fn flushed(bench: &mut Bench) {
    bench.stack.redis.run("FLUSHALL").await;
}

pub async fn restarted_empty(bench: &mut Bench) {
    bench.stack.redis.down();
    bench.kills += 1;
    assert!(bench.stack.redis.up().await);
}

pub async fn stopped(bench: &mut Bench) {
    bench.stack.redis.down();
    bench.kills += 1;
    tokio::time::sleep(bench.away).await;
    assert!(bench.stack.redis.up().await);
}

pub async fn stalled(bench: &mut Bench) {
    bench.stack.redis.hold(true);
    tokio::time::sleep(bench.away).await;
    bench.stack.redis.hold(false);
}

/// The network swallows everything; then the connections are lost.
pub async fn cut_off(bench: &mut Bench) {
    let both = [&bench.net.api_redis, &bench.net.worker_redis];
    for proxy in both {
        proxy.set(Mode::Blackhole);
    }
    tokio::time::sleep(bench.away).await;
    for proxy in both {
        proxy.cut();
        proxy.set(Mode::Pass);
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn in_every_way_under_load(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    for way in ["flushed", "restarted", "stopped", "stalled", "cut off"] {
        let load = bench.load.clone();
        let submitted = tokio::spawn(async move { load.submit_many(8, "scripted-slow-200").await });
        match way {
            "flushed" => flushed(&mut bench).await,
            "restarted" => restarted_empty(&mut bench).await,
            "stopped" => stopped(&mut bench).await,
            "stalled" => stalled(&mut bench).await,
            _ => cut_off(&mut bench).await,
        }
        submitted.await.unwrap();
    }
    let findings = bench.holds().await;
    assert_eq!(findings.ended["completed"], 40);
}
