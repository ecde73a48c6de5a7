//! The disk under Postgres is full: a small one of its own, which a file fills.

use std::{fs::File, io::Write, path::Path, process::Command, time::Duration};

use super::{bench::Bench, postgres::Postgres};

/// A file system in memory, unmounted at the end.
struct Disk(std::path::PathBuf);

impl Disk {
    /// `None` where nothing may be mounted.
    fn mount(dir: &Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=160m", "tmpfs"]).arg(dir).output().ok()?;
        mount.status.success().then(|| Self(dir.to_owned()))
    }

    /// Writes until nothing more fits.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).unwrap();
        for size in [1 << 20, 1 << 12] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[tokio::test]
async fn tasks_wait_until_there_is_room() {
    let dir = tempfile::Builder::new().prefix("teamai-faults-").tempdir_in("/var/tmp").unwrap();
    std::os::unix::fs::chown(dir.path(), None, None).unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), permissions).unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let Some(disk) = Disk::mount(&home) else {
        eprintln!("NOT TRIED: a full disk under Postgres. Only root can mount a small one.");
        return;
    };
    let mut bench = Bench::on(Postgres::in_dir(dir).await, 2, 1).await;
    bench.load.submit_many(5, "scripted-slow-300").await;
    disk.fill();
    let load = bench.load.clone();
    let submitted = tokio::spawn(async move {
        for _ in 0..10 {
            load.submit_many(5, "scripted-slow-300").await;
        }
    });
    // Until Postgres says so itself.
    let log = bench.postgres.as_ref().unwrap().dir().join("postgres.log");
    let full = || std::fs::read_to_string(&log).unwrap_or_default().contains("No space left on device");
    let give_up = std::time::Instant::now() + Duration::from_secs(20);
    while !full() && std::time::Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let was_full = full();
    tokio::time::sleep(bench.away).await;
    disk.free();
    // It may have ended itself for want of room.
    let postgres = bench.postgres.as_mut().unwrap();
    postgres.kill();
    postgres.up().await;
    submitted.await.unwrap();
    bench.holds().await;
    assert!(was_full, "Postgres met the full disk");
    drop(bench);
    drop(disk);
}
