//! `teamai migrate`: brings the schema up to date, as the migrating role.

use std::{process::ExitCode, str::FromStr, time::Duration};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{database, env::Env, telemetry};
use crate::{
    base::SystemClock,
    billing,
    config::Config,
    db::{self, schema::Applied},
};

/// How long to wait for a Postgres that is still starting.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(250);

/// The roles that log in; `migrate` gives them the passwords of the configured URLs.
const LOGIN_ROLES: [&str; 2] = ["teamai_api", "teamai_worker"];

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    json: bool,
}

/// What a migration did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub schema: Applied,
    /// Rows of this binary's price book that were not there.
    pub prices_added: u64,
    /// Login roles whose password was set.
    pub passwords: Vec<&'static str>,
}

pub async fn run(args: Args, env: Env) -> anyhow::Result<ExitCode> {
    let config = telemetry::configure(env)?;
    let report = migrate(&config).await?;
    if args.json {
        let Report { schema: Applied { version, migrations, laid, dropped }, prices_added, passwords } = report;
        let set = json!({
            "version": version, "applied": migrations, "functions_laid": laid, "functions_dropped": dropped,
            "prices_added": prices_added, "passwords_set": passwords,
        });
        println!("{set}");
    } else {
        println!("{}", said(&report.schema));
    }
    Ok(ExitCode::SUCCESS)
}

fn said(Applied { version, migrations, laid, dropped }: &Applied) -> String {
    if migrations.is_empty() && laid.is_empty() && dropped.is_empty() {
        return format!("the schema is up to date, at version {version}");
    }
    format!(
        "applied {} migrations, laid {} functions and dropped {}; the schema is at version {version}",
        migrations.len(),
        laid.len(),
        dropped.len()
    )
}

/// Waits for Postgres, applies what is missing, adds new prices, and sets the login roles' passwords.
///
/// # Errors
/// Postgres does not answer within a minute, refuses the role, or a migration fails.
pub async fn migrate(config: &Config) -> anyhow::Result<Report> {
    let mut connection = connect(owner(config)).await?;
    let schema = db::SCHEMA.apply(&mut connection).await?;
    let prices_added = billing::store::load_platform(&mut connection, &SystemClock).await.context("the price book")?;
    let passwords = set_passwords(config, &mut connection).await?;
    connection.close().await?;
    Ok(Report { schema, prices_added, passwords })
}

/// The URL of the migrating role: `TEAMAI_DATABASE__OWNER_URL`, else `DATABASE_URL`.
#[must_use]
pub fn owner(config: &Config) -> &SecretString {
    config.database.owner_url.as_ref().unwrap_or(&config.database.url)
}

/// Connects, and waits while Postgres is starting or the network is not there yet.
///
/// # Errors
/// It does not answer in time, or it answers and refuses.
pub async fn connect(url: &SecretString) -> anyhow::Result<PgConnection> {
    let options = PgConnectOptions::from_str(url.expose_secret())?.application_name("teamai migrate");
    let give_up = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        let error = match PgConnection::connect_with(&options).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let place = format!("Postgres at {}:{}", options.get_host(), options.get_port());
        if !db::is_unavailable(&error) {
            return Err(error).with_context(|| format!("{place} refused {}", options.get_username()));
        }
        if Instant::now() >= give_up {
            return Err(error).with_context(|| format!("{place} did not answer within {} s", PATIENCE.as_secs()));
        }
        if !std::mem::replace(&mut told, true) {
            info!(%error, "waiting for {place}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A fresh cluster's login roles have no password, so that nobody can sign in
/// before this. Where the migrating role may not set them, an administrator did.
async fn set_passwords(config: &Config, connection: &mut PgConnection) -> anyhow::Result<Vec<&'static str>> {
    let mut done = Vec::new();
    for url in [&config.database.url, &config.database.worker_url] {
        let url = url::Url::parse(url.expose_secret())?;
        let Some(role) = LOGIN_ROLES.into_iter().find(|role| url.username() == *role && !done.contains(role)) else {
            continue;
        };
        let Some(password) = url.password() else { continue };
        let password = percent_decoded(password).context("the password in a database URL is not UTF-8")?;
        match database::set_password(connection, role, &password).await {
            Ok(()) => done.push(role),
            Err(error) if may_not(&error) => warn!(role, "the migrating role may not set passwords; left as it is"),
            Err(error) => return Err(error).with_context(|| format!("the password of {role} could not be set")),
        }
    }
    Ok(done)
}

fn may_not(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "42501")
}

/// Undoes percent-encoding, as the driver does before it signs in.
fn percent_decoded(text: &str) -> anyhow::Result<String> {
    let form = format!("p={}", text.replace('+', "%2B").replace('&', "%26"));
    let value = url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned());
    let value = value.unwrap_or_default();
    anyhow::ensure!(!value.contains(char::REPLACEMENT_CHARACTER), "not UTF-8");
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_decoded_like_the_driver_does() {
        assert_eq!(percent_decoded("a%40b%2Fc+d&e=").unwrap(), "a@b/c+d&e=");
        assert_eq!(percent_decoded("plain").unwrap(), "plain");
        assert!(percent_decoded("%FF").is_err());
    }
}
