//! `teamai config`: what is in force and where it comes from, secrets hidden.

use std::{io::Write, path::Path, process::ExitCode};

use serde_json::json;

use super::env::Env;
use crate::config::{KEYS, Settings};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// List every setting with its variable, default and meaning instead
    #[arg(long)]
    keys: bool,
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, env: Env) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if args.keys {
        keys(args.json, &mut out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings::read(env, Path::new("."))?;
    settings.check()?;
    in_force(&settings, args.json, &mut out)?;
    Ok(ExitCode::SUCCESS)
}

fn in_force(settings: &Settings, as_json: bool, out: &mut impl Write) -> std::io::Result<()> {
    let shown = settings.shown();
    if as_json {
        let items: Vec<_> =
            shown.iter().map(|(key, value, source)| json!({"key": key, "value": value, "source": source})).collect();
        return writeln!(out, "{}", json!(items));
    }
    let width = shown.iter().map(|(key, ..)| key.len()).max().unwrap_or(0);
    for (key, value, source) in shown {
        writeln!(out, "{key:width$} = {value}  # {source}")?;
    }
    Ok(())
}

fn keys(as_json: bool, out: &mut impl Write) -> std::io::Result<()> {
    if as_json {
        let items: Vec<_> = KEYS
            .iter()
            .map(|key| {
                json!({"key": key.path, "variable": key.variable(), "default": key.default, "meaning": key.meaning,
                       "may_be_a_file": key.may_be_a_file()})
            })
            .collect();
        return writeln!(out, "{}", json!(items));
    }
    for key in KEYS {
        let default = key.default.map(|default| format!(" (default `{default}`)")).unwrap_or_default();
        let file = if key.may_be_a_file() { ", or ..._FILE" } else { "" };
        writeln!(out, "{}{file}\n    {}: {}{default}", key.variable(), key.path, key.meaning)?;
    }
    writeln!(
        out,
        "TEAMAI_AUTH__OIDC__<NAME>__ISSUER, __CLIENT_ID, __CLIENT_SECRET (or ..._FILE), __SCOPES, __TRUST_EMAIL\n    \
         auth.oidc.<name>.*: an OpenID Connect provider that people may sign in through\n\
         TEAMAI_PROVIDERS__<NAME>__BASE_URL, __PROTOCOL\n    providers.<name>.*: where a model provider answers and how"
    )
}
