//! `teamai admin create-agency`: the first agency of an installation, without open registration.

use serde_json::json;

use super::{
    operator::{across_agencies, connect},
    password,
};
use crate::{
    auth::{self, Registration},
    base::{Clock, SystemClock},
    config::Config,
    tenancy::{Email, Name},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The agency's name
    #[arg(long, value_parser = Name::parse)]
    name: Name,
    /// The admin's e-mail address
    #[arg(long, value_parser = Email::parse)]
    email: Email,
    #[arg(long, value_parser = Name::parse)]
    full_name: Option<Name>,
    #[arg(long, value_parser = Email::parse)]
    billing_email: Option<Email>,
    /// Read the admin's password from standard input, instead of making one up
    #[arg(long)]
    password_stdin: bool,
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let (password, shown) = password::choose(args.password_stdin, &args.email)?;
    let Args { name: agency_name, email, full_name, billing_email, json: as_json, .. } = args;
    let new = Registration { agency_name, billing_email, email, password, full_name };
    let mut connection = connect(config).await?;
    let mut tx = across_agencies(&mut connection).await?;
    let (agency, user) = auth::create_agency(&mut tx, &new, SystemClock.now()).await?;
    tx.commit().await?;
    let email = new.email.as_str();
    let words = format!("agency {} ({agency}) with the admin {email}", new.agency_name.as_str());
    shown.report(as_json, &words, json!({"agency_id": agency, "user_id": user, "email": email}));
    Ok(())
}
