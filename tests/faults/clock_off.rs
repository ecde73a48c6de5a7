//! Workers whose clocks are ten minutes off, in both directions.

use std::path::PathBuf;

use sqlx::PgPool;

use super::bench::Bench;

/// libfaketime, where it is installed.
fn library() -> Option<PathBuf> {
    let found = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|dir| dir.path().join("faketime/libfaketime.so.1"));
    found.into_iter().find(|library| library.exists())
}

pub fn can_be() -> bool {
    library().is_some()
}

/// Replaces all workers by one that is early and one that is late. Says whether it could.
pub fn ten_minutes(bench: &mut Bench) -> bool {
    let Some(library) = library() else {
        eprintln!("NOT TRIED: a worker's clock that is off. Install libfaketime (Debian: apt-get install faketime).");
        return false;
    };
    bench.kill_workers();
    for offset in ["+600s", "-600s"] {
        bench.hire_with(&[
            ("LD_PRELOAD", &library.to_string_lossy()),
            ("FAKETIME", offset),
            // Leases are kept by it, and no machine's runs backwards.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]);
    }
    true
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn by_ten_minutes(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    if !ten_minutes(&mut bench) {
        return;
    }
    bench.load.submit_many(12, "scripted-slow-300").await;
    let findings = bench.holds().await;
    assert_eq!(findings.ended["completed"], 12);
    let off = "select count(*) from task_steps where abs(extract(epoch from finished_at - clock_timestamp())) > 300";
    assert_eq!(bench.stack.count(off).await, 36, "the clocks were off");
    let again = "select count(*) from task_queue where attempt <> 1";
    assert_eq!(bench.stack.count(again).await, 0, "no lease ran out early");
}
