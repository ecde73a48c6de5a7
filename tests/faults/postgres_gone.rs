//! Postgres is killed at commits, stopped, cut off, and answers that nobody hears.

use std::time::Duration;

use sqlx::PgPool;

use super::{bench::Bench, proxy::Mode};

/// Kills a session's process at work, which takes all sessions with it, again and again.
pub async fn killed_at_commit_in_a_loop(bench: &mut Bench) {
    for _ in 0..4 {
        let pause = bench.random.within(50..=600);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if let Some(postgres) = &bench.postgres {
            postgres.kill_a_backend(&bench.root).await;
            bench.kills += 1;
        }
    }
}

/// Kills all of it, and starts it on what is left.
pub async fn stopped(bench: &mut Bench) {
    let Some(postgres) = &mut bench.postgres else { return };
    postgres.kill();
    bench.kills += 1;
    tokio::time::sleep(bench.away).await;
    postgres.up().await;
}

pub async fn connections_cut(bench: &mut Bench) {
    for _ in 0..5 {
        bench.net.worker_postgres.cut();
        bench.net.api_postgres.cut();
        let pause = bench.random.within(20..=400);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Statements arrive and commit; nobody hears of it.
pub async fn answers_lost(bench: &mut Bench) {
    for _ in 0..4 {
        let both = [&bench.net.worker_postgres, &bench.net.api_postgres];
        for proxy in both {
            proxy.set(Mode::Deaf);
        }
        let deaf = bench.random.within(50..=400);
        tokio::time::sleep(Duration::from_millis(deaf)).await;
        for proxy in both {
            proxy.cut();
            proxy.set(Mode::Pass);
        }
        tokio::time::sleep(Duration::from_millis(deaf)).await;
    }
}

/// The network swallows everything, and nobody is told that the connections are gone.
pub async fn cut_off(bench: &mut Bench) {
    let both = [&bench.net.worker_postgres, &bench.net.api_postgres];
    for proxy in both {
        proxy.set(Mode::Blackhole);
    }
    tokio::time::sleep(bench.away * 2).await;
    for proxy in both {
        proxy.set(Mode::Pass);
    }
}

/// The connections die without a word, as when a firewall forgets them; new ones work.
pub async fn connections_buried(bench: &mut Bench) {
    bench.net.worker_postgres.bury();
    bench.net.api_postgres.bury();
}

async fn under_load(bench: &mut Bench, fault: impl AsyncFnOnce(&mut Bench)) {
    let load = bench.load.clone();
    let submitted = tokio::spawn(async move {
        for _ in 0..6 {
            load.submit_many(3, "scripted-slow-150").await;
        }
    });
    // Amid the work.
    bench.asked("scripted-slow-150", bench.times_asked("scripted-slow-150") + 1).await;
    fault(bench).await;
    submitted.await.unwrap();
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn connections_are_cut_and_answers_lost(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    under_load(&mut bench, connections_cut).await;
    under_load(&mut bench, answers_lost).await;
    bench.holds().await;
    under_load(&mut bench, cut_off).await;
    bench.holds().await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn connections_die_without_a_word(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    bench.patience = Duration::from_mins(1);
    under_load(&mut bench, connections_buried).await;
    bench.load.submit_many(5, "scripted-small").await;
    bench.holds().await;
}

#[tokio::test]
async fn killed_at_commit_and_stopped() {
    let mut bench = Bench::alone(2, 1).await;
    under_load(&mut bench, killed_at_commit_in_a_loop).await;
    bench.holds().await;
    under_load(&mut bench, stopped).await;
    bench.holds().await;
}
