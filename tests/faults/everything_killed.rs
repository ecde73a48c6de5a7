//! kill -9 of every process at once: API, workers, Postgres, Redis and the provider.

use super::bench::Bench;

pub async fn at_once(bench: &mut Bench) {
    let workers = bench.workers.len();
    bench.kill_workers();
    bench.provider.kill();
    bench.stack.redis.down();
    if let Some(postgres) = &mut bench.postgres {
        postgres.kill();
        bench.kills += 1;
    }
    bench.kill_api().await;
    bench.kills += 2;
    if let Some(postgres) = &mut bench.postgres {
        postgres.up().await;
    }
    assert!(bench.stack.redis.up().await);
    bench.provider.up().await;
    bench.start_api().await;
    for _ in 0..workers {
        bench.hire();
    }
}

#[tokio::test]
async fn and_started_again() {
    let mut bench = Bench::alone(2, 2).await;
    for round in 1..=2 {
        bench.load.submit_many(10, "scripted-slow-600").await;
        bench.asked("scripted-slow-600", round * 3).await;
        at_once(&mut bench).await;
    }
    bench.holds().await;
}
