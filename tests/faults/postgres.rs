//! A Postgres of the bench's own, which can be killed and started again on what it left.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use teamai::{
    cli::dev::stack::{self, account},
    db::SCHEMA,
};
use tempfile::TempDir;

use super::disk_full::Disk;
use crate::stack::{Process, eventually};

pub struct Postgres {
    pub port: u16,
    data: PathBuf,
    process: Option<Process>,
    /// Processes of an earlier run that were killed.
    dying: Vec<String>,
    disk: Option<Disk>,
    dir: TempDir,
}

impl Postgres {
    /// A new cluster, empty.
    pub async fn start() -> Self {
        let (dir, home) = home();
        Self::in_home(dir, home, None).await
    }

    /// On a file system of its own, so large, where one may be mounted.
    pub async fn on_small_disk(megabytes: u64) -> Self {
        let (dir, home) = home();
        let disk = Disk::mount(&home, megabytes);
        Self::in_home(dir, home, disk).await
    }

    async fn in_home(dir: TempDir, home: PathBuf, disk: Option<Disk>) -> Self {
        if let Some(account) = account::Account::for_servers().unwrap() {
            account.own(&home).unwrap();
        }
        let data = home.join("data");
        let made = command("initdb")
            .arg("--pgdata")
            .arg(&data)
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let mut postgres = Self { port, data, process: None, dying: Vec::new(), disk, dir };
        postgres.up().await;
        postgres
    }

    /// With fsync off: the faults are deaths of processes, and what a process wrote
    /// to the system outlives it. Commits are as in production otherwise.
    pub async fn up(&mut self) {
        // While one of them has the shared memory, a new one does not start.
        let dying = std::mem::take(&mut self.dying);
        eventually("what was killed is gone", async || dying.iter().all(|child| is_gone(child)).then_some(())).await;
        let mut command = command("postgres");
        command.arg("-D").arg(&self.data);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            &format!("port={}", self.port),
            "max_connections=100",
            "shared_buffers=64MB",
            "max_wal_size=128MB",
            "min_wal_size=32MB",
            "fsync=off",
        ] {
            command.arg("-c").arg(setting);
        }
        let name = "postgres";
        self.process = Some(Process::spawn(self.dir.path(), name, &mut command));
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options("postgres"));
        eventually("Postgres answers", async || sqlx::query("select 1").execute(&pool).await.ok()).await;
    }

    /// Kills it and everything that it started, as a power cut of its container would.
    pub fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        let pid = process.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        // The parent first, or it would start what it finds dead.
        process.kill();
        for child in children.split_whitespace() {
            Command::new("kill").args(["-KILL", child]).stderr(Stdio::null()).status().ok();
            self.dying.push(child.to_owned());
        }
    }

    /// Kills one of its processes in the middle of a statement: all sessions are lost
    /// and it recovers by itself.
    pub async fn kill_a_backend(&self, root: &PgPool) {
        let pid: Option<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity where application_name in ('teamai worker', 'teamai api')
              order by state = 'active' desc, random() limit 1",
        )
        .fetch_optional(root)
        .await
        .unwrap_or_default();
        if let Some(pid) = pid {
            Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status().ok();
        }
    }

    /// A database with the schema in it.
    pub async fn migrated(&self) -> PgPool {
        let first = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.options("postgres"));
        sqlx::query("create database faults").execute(&first).await.unwrap();
        let root = PgPoolOptions::new().max_connections(6).connect_lazy_with(self.options("faults"));
        SCHEMA.apply(&mut root.acquire().await.unwrap()).await.unwrap();
        root
    }

    /// What this run of it has said so far.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    pub fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref()
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port).username("postgres").database(database)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A directory that other accounts can look into, and one in it.
fn home() -> (TempDir, PathBuf) {
    let dir = tempfile::Builder::new().prefix("teamai-faults-").tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    (dir, home)
}

/// A port that is free at this moment.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Nothing of it is left but a line in the table of processes.
fn is_gone(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
}

fn command(program: &str) -> Command {
    let path = stack::program(program).unwrap_or_else(|| panic!("{program} of Postgres is not installed"));
    account::command(&path, account::Account::for_servers().unwrap()).into_std()
}
