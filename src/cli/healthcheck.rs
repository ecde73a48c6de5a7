//! `teamai healthcheck`: asks a server whether it is ready, for containers that have no curl.

use std::{process::ExitCode, time::Duration};

use super::{Env, exit};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to ask [default: /readyz of the configured address]
    #[arg(long)]
    url: Option<String>,
}

pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let url = match args.url {
        Some(url) => url,
        None => format!("{}/readyz", super::dev::url(bind(&env)?)),
    };
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(4)).build()?;
    let answer = client.get(&url).send().await?;
    if answer.status().is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{url} answers {}: {}", answer.status(), answer.text().await.unwrap_or_default());
    Ok(exit::failed())
}

fn bind(env: &Env) -> anyhow::Result<std::net::SocketAddr> {
    let bind = env.get("TEAMAI_HTTP__BIND").map_or("127.0.0.1:8000", String::as_str);
    bind.parse().map_err(|_| exit::BadUse(format!("TEAMAI_HTTP__BIND: `{bind}` is not an address and a port")).into())
}
