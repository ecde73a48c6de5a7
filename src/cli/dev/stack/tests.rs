//! The private stack starts, answers, keeps its data and leaves nothing behind.

use sqlx::{Connection, PgConnection};

use super::{options::Options, running::Stack};

fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits for something that must come to pass, and fails when it does not.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("not within 20 s: {what}");
}

#[tokio::test]
async fn a_temporary_stack_is_gone_after_it() {
    let stack = Stack::start(&Options::fast()).await.unwrap();
    let dir = stack.data_dir().to_owned();
    let (postgres, redis) = (stack.postgres_pid(), stack.redis_pid());
    assert!(lives(postgres) && lives(redis) && dir.join("keys.json").exists());
    stack.stop().await.unwrap();
    assert!(!lives(postgres) && !lives(redis), "the servers still run");
    assert!(!dir.exists(), "{} is left", dir.display());
}

#[tokio::test]
async fn a_stack_that_is_lost_takes_its_servers_along() {
    let stack = Stack::start(&Options::fast()).await.unwrap();
    let dir = stack.data_dir().to_owned();
    let (postgres, redis) = (stack.postgres_pid(), stack.redis_pid());
    drop(stack);
    eventually("the servers end", || !lives(postgres) && !lives(redis)).await;
    eventually("the data is removed", || !dir.exists()).await;
}

#[tokio::test]
async fn data_stays_in_a_directory_of_ones_own_even_below_a_closed_one() {
    use std::os::unix::fs::PermissionsExt;
    let closed = tempfile::tempdir().unwrap();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let options = Options { data_dir: Some(closed.path().join("data")), ..Options::fast() };

    let first = Stack::start(&options).await.unwrap();
    let url = first.superuser_url("postgres");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    crate::cli::database::ensure_database(&mut connection, "kept").await.unwrap();
    drop(connection);
    drop(first);

    // Started again at once, while the watchdog may still be stopping the first.
    let second = Stack::start(&options).await.unwrap();
    PgConnection::connect(&second.superuser_url("kept")).await.unwrap().close().await.unwrap();
    let home = second.place.home.clone();
    second.stop().await.unwrap();
    if !home.starts_with(closed.path()) {
        std::fs::remove_dir_all(home).unwrap();
    }
}
