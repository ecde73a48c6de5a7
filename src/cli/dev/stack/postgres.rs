//! The private Postgres.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

use super::{
    account,
    keys::Keys,
    options::Options,
    place::Place,
    server::{Server, free_port, tail},
    watchdog::Watchdog,
};

const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(30);
/// Another process can take the free port before Postgres does.
const ATTEMPTS: u32 = 3;

/// Makes the cluster where there is none, starts it and waits for its answer.
pub async fn start(options: &Options, place: &Place, keys: &Keys, watchdog: &mut Watchdog) -> anyhow::Result<Server> {
    let data = place.home.join("postgres");
    if !data.exists() {
        init(place, keys, &data, options.durable).await?;
    }
    wait_for_the_last_one(&data).await?;
    let log = place.dir.join("postgres.log");
    for attempt in 1..=ATTEMPTS {
        let mut server = spawn(options, place, &data, &log)?;
        watchdog.ends_with_us(server.pid, "INT", "QUIT").await?;
        match answers(&mut server, keys, &log).await {
            Err(_) if attempt < ATTEMPTS && tail(&log).contains("in use") => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(server),
        }
    }
    bail!("Postgres found no free port")
}

/// `initdb` into a directory beside, renamed when whole: a broken one is never used.
async fn init(place: &Place, keys: &Keys, data: &Path, durable: bool) -> anyhow::Result<()> {
    let program = binary("initdb")?;
    let part = place.home.join("postgres.part");
    let password = place.home.join("password");
    if part.exists() {
        std::fs::remove_dir_all(&part)?;
    }
    std::fs::write(&password, &keys.owner_password)?;
    if let Some(account) = place.account {
        account.own(&password)?;
    }
    let mut command = account::command(&program, place.account);
    command.arg("--pgdata").arg(&part).arg("--pwfile").arg(&password);
    command.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
    if !durable {
        command.arg("--no-sync");
    }
    let made = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("initdb does not start")?;
    std::fs::remove_file(&password)?;
    ensure!(made.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&made.stderr).trim());
    std::fs::rename(&part, data).context("the new cluster cannot be put in its place")
}

/// After a killed `dev` the watchdog needs a moment to stop its Postgres.
async fn wait_for_the_last_one(data: &Path) -> anyhow::Result<()> {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let lock = std::fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        let Some(pid) = lock.lines().next().and_then(|pid| pid.trim().parse::<u32>().ok()) else {
            return Ok(());
        };
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !String::from_utf8_lossy(&command).contains("postgres") {
            return Ok(());
        }
        ensure!(Instant::now() < give_up, "another Postgres (process {pid}) uses {}; stop it first", data.display());
        sleep(PAUSE).await;
    }
}

fn spawn(options: &Options, place: &Place, data: &Path, log: &Path) -> anyhow::Result<Server> {
    let port = free_port()?;
    let output = File::create(log)?;
    let sync = if options.durable { "on" } else { "off" };
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        format!("port={port}"),
        format!("max_connections={}", options.max_connections),
        "shared_buffers=256MB".to_owned(),
        "max_wal_size=2GB".to_owned(),
        format!("fsync={sync}"),
        format!("synchronous_commit={sync}"),
        format!("full_page_writes={sync}"),
    ];
    let mut command = account::command(&binary("postgres")?, place.account);
    command.arg("-D").arg(data);
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    let child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("postgres does not start")?;
    Server::new(child, port)
}

async fn answers(server: &mut Server, keys: &Keys, log: &Path) -> anyhow::Result<()> {
    let url = format!("postgres://postgres:{}@127.0.0.1:{}/postgres", keys.owner_password, server.port);
    let options = PgConnectOptions::from_str(&url)?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Ok(connection) = PgConnection::connect_with(&options).await {
            return Ok(connection.close().await?);
        }
        if let Some(status) = server.child.try_wait()? {
            bail!("Postgres ended with {status}:\n{}", tail(log));
        }
        ensure!(Instant::now() < give_up, "Postgres does not answer on port {}:\n{}", server.port, tail(log));
        sleep(PAUSE).await;
    }
}

fn binary(name: &str) -> anyhow::Result<PathBuf> {
    program(name).with_context(|| {
        format!("{name} of Postgres 15 or newer is not installed: `apt-get install postgresql`, or `make setup`")
    })
}

pub fn program(name: &str) -> Option<PathBuf> {
    find(name, &installed())
}

/// Debian keeps the servers' programs out of the search path, one directory a
/// version; the newest comes first.
fn installed() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(version, _)| *version >= 15)
        .collect();
    versions.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, path)| path).collect()
}

/// Looks in the given directories, then in the search path, then where systems keep servers.
pub fn find(name: &str, first: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/opt/homebrew/bin"].map(PathBuf::from);
    first
        .iter()
        .cloned()
        .chain(std::env::split_paths(&path))
        .chain(usual)
        .map(|dir| dir.join(name))
        .find(|p| p.is_file())
}
