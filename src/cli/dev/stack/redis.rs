//! The private Redis.

use std::{fs::File, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep},
};

use super::{
    account,
    keys::Keys,
    place::Place,
    postgres,
    server::{Server, free_port, tail},
    watchdog::Watchdog,
};

const PATIENCE: Duration = Duration::from_secs(20);

pub fn url(keys: &Keys, port: u16) -> String {
    format!("redis://default:{}@127.0.0.1:{port}", keys.redis_password)
}

/// Starts it and waits for its answer. It keeps nothing: what must last is in Postgres.
pub async fn start(place: &Place, keys: &Keys, watchdog: &mut Watchdog) -> anyhow::Result<Server> {
    let program = postgres::find("redis-server", &[])
        .context("Redis 7 or newer is not installed: `apt-get install redis-server`, or `make setup`")?;
    let log = place.dir.join("redis.log");
    let port = free_port()?;
    let output = File::create(&log)?;
    let mut child = account::command(&program, place.account)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("redis-server does not start")?;
    // By its input, so that the password is not seen in the list of processes.
    let mut input = child.stdin.take().context("redis-server has no input")?;
    input.write_all(settings(&place.home, keys, port).as_bytes()).await?;
    drop(input);
    let mut server = Server::new(child, port)?;
    watchdog.ends_with_us(server.pid, "TERM", "TERM").await?;
    answers(&mut server, &url(keys, port), &log).await?;
    Ok(server)
}

fn settings(dir: &Path, keys: &Keys, port: u16) -> String {
    format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {}\nsave \"\"\nappendonly no\ndaemonize no\ndir \"{}\"\n",
        keys.redis_password,
        dir.display()
    )
}

async fn answers(server: &mut Server, url: &str, log: &Path) -> anyhow::Result<()> {
    let client = redis::Client::open(url)?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Ok(mut connection) = client.get_multiplexed_async_connection().await
            && redis::cmd("PING").exec_async(&mut connection).await.is_ok()
        {
            return Ok(());
        }
        if let Some(status) = server.child.try_wait()? {
            bail!("redis-server ended with {status}:\n{}", tail(log));
        }
        if Instant::now() >= give_up {
            bail!("redis-server does not answer on port {}:\n{}", server.port, tail(log));
        }
        sleep(Duration::from_millis(20)).await;
    }
}
