//! The disk under Postgres is full: a small one of its own, which shrinks to what is used.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{bench::Bench, postgres::Postgres};

/// How long it may take until something no longer fits.
const MET_WITHIN: Duration = Duration::from_secs(20);

/// A file system in memory, unmounted at the end.
pub struct Disk {
    dir: PathBuf,
    megabytes: u64,
}

impl Disk {
    /// `None` where nothing may be mounted. Takes only as much memory as is used.
    pub fn mount(dir: &Path, megabytes: u64) -> Option<Self> {
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir).output().ok()?;
        mount.status.success().then(|| Self { dir: dir.to_owned(), megabytes })
    }

    /// Shrinks it until nothing more fits. What grows meanwhile is in the way of that.
    async fn fill(&self) {
        for _ in 0..50 {
            if self.resize(self.used_kilobytes()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the disk could not be shrunk to what is used");
    }

    fn free(&self) {
        assert!(self.resize(self.megabytes * 1024), "the disk gets its room back");
    }

    fn used_kilobytes(&self) -> u64 {
        let used = Command::new("df").args(["-k", "--output=used"]).arg(&self.dir).output().unwrap();
        let used = String::from_utf8(used.stdout).unwrap();
        used.lines().next_back().unwrap().trim().parse().unwrap()
    }

    fn resize(&self, kilobytes: u64) -> bool {
        let size = format!("remount,size={kilobytes}k");
        let resized = Command::new("mount").args(["-o", &size]).arg(&self.dir).output().unwrap();
        resized.status.success()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.dir).status().ok();
    }
}

/// Until Postgres has met it, and for as long as things stay away. Says whether it has.
pub async fn full(bench: &mut Bench) -> bool {
    let Some(postgres) = bench.postgres.as_mut() else { return false };
    let Some(disk) = postgres.disk() else {
        eprintln!("NOT TRIED: a full disk under Postgres. Only root can mount a small one.");
        return false;
    };
    let refusals = || postgres.log().matches("No space left on device").count();
    let before = refusals();
    disk.fill().await;
    let mut waited = Duration::ZERO;
    while refusals() == before && waited < MET_WITHIN {
        tokio::time::sleep(Duration::from_millis(100)).await;
        waited += Duration::from_millis(100);
    }
    let met = refusals() > before;
    tokio::time::sleep(bench.away).await;
    disk.free();
    // It may have ended itself for want of room.
    if bench.random.within(0..=1) == 0 || !answers(&bench.root).await {
        postgres.kill();
        bench.kills += 1;
        postgres.up().await;
    }
    met
}

/// It may be recovering for a while.
async fn answers(root: &sqlx::PgPool) -> bool {
    for _ in 0..50 {
        let limit = Duration::from_secs(1);
        if let Ok(Ok(_)) = tokio::time::timeout(limit, sqlx::query("select 1").execute(root)).await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

#[tokio::test]
async fn tasks_wait_until_there_is_room() {
    let mut bench = Bench::on(Postgres::on_small_disk(256).await, 2, 1).await;
    bench.load.submit_many(5, "scripted-slow-300").await;
    let load = bench.load.clone();
    let submitted = tokio::spawn(async move {
        for _ in 0..10 {
            load.submit_many(5, "scripted-slow-300").await;
        }
    });
    let small = bench.postgres.as_ref().is_some_and(|postgres| postgres.disk().is_some());
    for _ in 0..2 {
        assert_eq!(full(&mut bench).await, small, "Postgres meets the full disk");
    }
    submitted.await.unwrap();
    bench.holds().await;
}
