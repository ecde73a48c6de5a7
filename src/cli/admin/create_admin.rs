//! `teamai admin create-admin`: a way back in for an agency that has lost its admins.

use serde_json::json;

use super::{
    operator::{across_agencies, connect},
    password,
};
use crate::{
    auth::{self, FirstAdmin},
    base::{AgencyId, Clock, SystemClock},
    cli::exit::BadUse,
    config::Config,
    tenancy::{Email, Name, agencies},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The agency's id
    #[arg(long)]
    agency: AgencyId,
    /// The admin's e-mail address
    #[arg(long, value_parser = Email::parse)]
    email: Email,
    #[arg(long, value_parser = Name::parse)]
    full_name: Option<Name>,
    /// Read the admin's password from standard input, instead of making one up
    #[arg(long)]
    password_stdin: bool,
    #[arg(long)]
    json: bool,
}

pub async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let (password, shown) = password::choose(args.password_stdin, &args.email)?;
    let Args { agency: id, email, full_name, json: as_json, .. } = args;
    let new = FirstAdmin { email, password, full_name };
    let mut connection = connect(config).await?;
    let mut tx = across_agencies(&mut connection).await?;
    let agency = agencies::find(&mut tx, id).await?.ok_or_else(|| BadUse(format!("there is no agency {id}")))?;
    let user = auth::create_admin(&mut tx, id, &new, SystemClock.now()).await?;
    tx.commit().await?;
    let email = new.email.as_str();
    let words = format!("admin {email} of the agency {} ({id})", agency.name);
    shown.report(as_json, &words, json!({"agency_id": id, "user_id": user, "email": email}));
    Ok(())
}
