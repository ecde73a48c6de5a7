//! A provider that refuses, hangs, lies, breaks off and trickles; and a network that does it for it.

use std::time::Duration;

use sqlx::PgPool;

use super::{bench::Bench, proxy::Mode};

/// Every way in which the scripted provider fails by itself, with two in which it does not.
/// 429 is not among them: it comes with a key, and its tasks wait instead of failing.
pub const MODELS: [&str; 14] = [
    "scripted-small",
    "scripted-slow-300",
    "scripted-500",
    "scripted-fail-1-then-ok",
    "scripted-hang",
    // In the middle of a stream, and before its first event.
    "scripted-cut",
    "scripted-cut-90",
    "scripted-stall",
    "scripted-trickle-900",
    "scripted-broken-event",
    "scripted-malformed",
    "scripted-wrong-type",
    "scripted-quota",
    "scripted-no-usage",
];

/// Connections break in the middle of calls.
pub async fn reset(bench: &mut Bench) {
    for _ in 0..3 {
        let pause = bench.random.within(100..=500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        bench.net.provider.cut();
    }
}

async fn for_a_while(bench: &mut Bench, mode: Mode) {
    bench.net.provider.set(mode);
    tokio::time::sleep(bench.away).await;
    bench.net.provider.set(Mode::Pass);
}

/// Answers break off in their headers, in the middle of their stream or near its end.
pub async fn truncated(bench: &mut Bench) {
    let bytes = usize::try_from(bench.random.within(20..=2_500)).unwrap();
    for_a_while(bench, Mode::CutAfter(bytes)).await;
    bench.net.provider.cut();
}

pub async fn trickling(bench: &mut Bench) {
    for_a_while(bench, Mode::Trickle { bytes: 40, pause: Duration::from_millis(150) }).await;
}

pub async fn late(bench: &mut Bench) {
    for_a_while(bench, Mode::Delay(Duration::from_millis(600))).await;
}

pub async fn refusing(bench: &mut Bench) {
    bench.net.provider.cut();
    for_a_while(bench, Mode::Refuse).await;
}

pub async fn silent(bench: &mut Bench) {
    for_a_while(bench, Mode::Blackhole).await;
}

pub async fn killed(bench: &mut Bench) {
    bench.provider.kill();
    bench.kills += 1;
    tokio::time::sleep(bench.away / 3).await;
    bench.provider.up().await;
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn by_itself(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    for _ in 0..3 {
        bench.load.submit_all(&MODELS).await;
    }
    let findings = bench.holds().await;
    assert!(findings.ended["failed"] > 0 && findings.unknown_lines > 0, "{findings}");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn by_its_network(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    bench.away = Duration::from_secs(2);
    for way in 0..7 {
        let load = bench.load.clone();
        let submitted = tokio::spawn(async move { load.submit_many(6, "scripted-slow-300").await });
        match way {
            0 => reset(&mut bench).await,
            1 => truncated(&mut bench).await,
            2 => trickling(&mut bench).await,
            3 => refusing(&mut bench).await,
            4 => silent(&mut bench).await,
            5 => late(&mut bench).await,
            _ => killed(&mut bench).await,
        }
        submitted.await.unwrap();
    }
    bench.load.submit_many(3, "scripted-small").await;
    let findings = bench.holds().await;
    assert!(findings.ended["completed"] >= 3, "{findings}");
}
