//! `teamai dev` says where everything is, and takes its servers along however it ends.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::{Connection, PgConnection};

/// A `teamai dev` and the line that it printed.
struct Dev {
    child: Child,
    ready: Value,
}

impl Drop for Dev {
    fn drop(&mut self) {
        // A failed test must not leave it running; its watchdog does the rest.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

impl Dev {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_teamai"))
            .args(["dev", "--port", "0"])
            .args(args)
            .env("TEAMAI_EGRESS__ALLOW", "127.0.0.1:9")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("teamai starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("`{line}` is not JSON"));
        Self { child, ready }
    }

    fn pids(&self) -> Vec<u64> {
        ["postgres_pid", "redis_pid"].iter().map(|name| self.ready[name].as_u64().expect("a process id")).collect()
    }

    fn data_dir(&self) -> PathBuf {
        self.ready["data_dir"].as_str().expect("a directory").into()
    }

    fn env(&self, name: &str) -> &str {
        self.ready["env"][name].as_str().unwrap_or_else(|| panic!("env lacks {name}"))
    }
}

fn lives(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < give_up, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ends_with_everything(dev: &Dev, by: &str) {
    let (pids, dir) = (dev.pids(), dev.data_dir());
    assert!(pids.iter().all(|pid| lives(*pid)) && dir.exists());
    let signal = Command::new("sh").args(["-c", &format!("kill -{by} {}", dev.child.id())]).status().expect("sh");
    assert!(signal.success());
    eventually("Postgres and Redis end", || !pids.iter().any(|pid| lives(*pid)));
    eventually("the temporary data is removed", || !Path::new(&dir).exists());
}

#[test]
fn by_sigkill() {
    ends_with_everything(&Dev::start(&[]), "KILL");
}

#[test]
fn by_sigterm_in_good_order() {
    let mut dev = Dev::start(&["--no-worker"]);
    let id = dev.child.id();
    Command::new("sh").args(["-c", &format!("kill -TERM {id}")]).status().expect("sh");
    assert!(dev.child.wait().expect("it ends").success(), "SIGTERM must end it with 0");
    // It waits for its servers, so nothing is left at this moment.
    assert!(!dev.pids().iter().any(|pid| lives(*pid)) && !dev.data_dir().exists());
}

#[tokio::test]
async fn and_its_environment_lets_others_join() {
    let dev = Dev::start(&[]);
    for name in ["TEAMAI_LOCKER__ROOT_KEY", "TEAMAI_AUTH__SIGNING_KEY", "TEAMAI_DATABASE__OWNER_URL"] {
        assert!(!dev.env(name).is_empty());
    }
    assert_eq!(dev.env("TEAMAI_EGRESS__ALLOW"), "127.0.0.1:9");
    assert_eq!(dev.env("DATABASE_URL"), dev.ready["database_url"]);
    assert_eq!(dev.env("REDIS_URL"), dev.ready["redis_url"]);
    for (name, role) in [("DATABASE_URL", "teamai_api"), ("TEAMAI_DATABASE__WORKER_URL", "teamai_worker")] {
        let mut connection = PgConnection::connect(dev.env(name)).await.expect("the role signs in");
        let user: String =
            sqlx::query_scalar("select current_user::text").fetch_one(&mut connection).await.expect("a row");
        assert_eq!(user, role);
    }
    // Durable, as in production.
    let mut owner = PgConnection::connect(dev.env("TEAMAI_DATABASE__OWNER_URL")).await.expect("the owner signs in");
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value: String = sqlx::query_scalar("select current_setting($1)")
            .bind(setting)
            .fetch_one(&mut owner)
            .await
            .expect("a setting");
        assert_eq!(value, "on", "{setting}");
    }
    let answer =
        reqwest::get(format!("{}/healthz", dev.ready["api"].as_str().expect("a URL"))).await.expect("an answer");
    assert!(answer.status().is_success());
}
