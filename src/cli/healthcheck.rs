//! `teamai healthcheck`: whether a server is ready, for containers that have no curl.

use std::{path::Path, process::ExitCode, time::Duration};

use anyhow::Context;
use secrecy::ExposeSecret;

use super::{address, env::Env, exit};
use crate::{
    config::Config,
    db,
    tasks::workers::{Standstill, standstill},
};

const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to ask [default: /readyz of the configured address]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Ask Postgres and Redis instead, as the worker does, which answers no requests, and whether work moves
    #[arg(long, conflicts_with = "url")]
    servers: bool,
}

pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    if args.servers {
        let config = Config::load(env, Path::new("."))?;
        tokio::time::timeout(PATIENCE, servers(&config))
            .await
            .context("Postgres or Redis does not answer in time")??;
        return Ok(ExitCode::SUCCESS);
    }
    let url = match args.url {
        Some(url) => url,
        None => format!("{}/readyz", address::url(bind(&env)?)),
    };
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let answer = client.get(&url).send().await?;
    if answer.status().is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{url} answers {}: {}", answer.status(), answer.text().await.unwrap_or_default());
    Ok(exit::failed())
}

async fn servers(config: &Config) -> anyhow::Result<()> {
    let url = config.database.worker_url.expose_secret();
    let pool = db::connect(url, "teamai healthcheck", 1).context("TEAMAI_DATABASE__WORKER_URL")?;
    let stands = Standstill::default().look(&pool).await.context("Postgres does not let the worker in")?;
    pool.close().await;
    let redis = redis::Client::open(config.redis_url.expose_secret()).context("REDIS_URL")?;
    let mut connection = redis.get_multiplexed_async_connection().await.context("Redis does not let the worker in")?;
    redis::cmd("PING").exec_async(&mut connection).await?;
    let seconds = standstill::AFTER_SECONDS;
    anyhow::ensure!(!stands, "tasks that could run have waited for more than {seconds} s, and no worker claims any");
    Ok(())
}

fn bind(env: &Env) -> anyhow::Result<std::net::SocketAddr> {
    let bind = env.get("TEAMAI_HTTP__BIND").map_or("127.0.0.1:8000", String::as_str);
    bind.parse().map_err(|_| exit::BadUse(format!("TEAMAI_HTTP__BIND: `{bind}` is not an address and a port")).into())
}
