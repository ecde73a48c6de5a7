//! `teamai provider-sim`: the scripted provider as an HTTP server.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::json;

use crate::simulator::{self, script::MODELS};

/// Serve the scripted provider over HTTP, in the protocols of OpenAI, Anthropic and Gemini.
///
/// Point `TEAMAI_PROVIDERS__OPENAI__BASE_URL` (or another provider's) at the URL
/// that is printed when it is ready. Any model is answered and any key is taken,
/// except `bad-key`; some model names ask for a fault.
#[derive(Debug, clap::Args)]
#[command(after_help = models())]
pub struct Args {
    /// Port on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Address to listen on, instead of 127.0.0.1.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Add one JSON line for each request to this file.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// Serves until it is ended.
///
/// # Errors
/// The address is taken or the log cannot be written.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let addr = format!("{}:{}", args.host, args.port);
    let log = args.log.as_deref();
    let simulator = simulator::start(&addr, log).await.with_context(|| match log {
        Some(log) => format!("cannot serve on {addr} with the log {}", log.display()),
        None => format!("cannot serve on {addr}: choose another --port"),
    })?;
    let ready = json!({"ready": true, "url": simulator.base_url(), "log": log.map(Path::to_path_buf)});
    let mut out = std::io::stdout().lock();
    writeln!(out, "{ready}").and_then(|()| out.flush()).context("cannot say that it is ready")?;
    drop(out);
    simulator.run().await.context("the server ended")?;
    Ok(ExitCode::SUCCESS)
}

fn models() -> String {
    let lines = MODELS.map(|(name, does)| format!("  {name:26} {does}"));
    format!("Models:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches};

    use super::*;

    #[test]
    fn the_help_names_every_fault() {
        let mut command = Args::augment_args(Command::new("provider-sim"));
        let help = command.render_long_help().to_string();
        assert!(MODELS.iter().all(|(name, _)| help.contains(name)), "{help}");
        let matches = command.get_matches_from(["provider-sim", "--port", "8123", "--log", "x.jsonl"]);
        let args = Args::from_arg_matches(&matches).expect("arguments");
        assert_eq!((args.port, args.log), (8123, Some(PathBuf::from("x.jsonl"))));
    }
}
