//! Where an admin's first password comes from: standard input, or it is made up and shown once.

use std::io::{BufRead, IsTerminal};

use anyhow::Context;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{auth::NewPassword, base::random, cli::exit::BadUse, tenancy::Email};

/// A password that was made up, to be shown once.
pub struct Shown(Option<SecretString>);

/// # Errors
/// Nothing on standard input, or a password that is refused.
pub fn choose(from_stdin: bool, email: &Email) -> anyhow::Result<(NewPassword, Shown)> {
    if from_stdin {
        return Ok((parse(read_line()?.expose_secret(), email)?, Shown(None)));
    }
    let text = SecretString::from(BASE64_URL_SAFE_NO_PAD.encode(random::bytes::<18>()?));
    Ok((parse(text.expose_secret(), email)?, Shown(Some(text))))
}

fn parse(text: &str, email: &Email) -> anyhow::Result<NewPassword> {
    NewPassword::parse(text, email).map_err(|error| BadUse(format!("the password {error}")).into())
}

fn read_line() -> anyhow::Result<SecretString> {
    let stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        eprintln!("Password (it is shown as you type; pipe it in to hide it):");
    }
    let line = stdin.lines().next().transpose().context("the password cannot be read from standard input")?;
    let line = line.ok_or_else(|| BadUse("--password-stdin: there is no password on standard input".to_owned()))?;
    Ok(SecretString::from(line))
}

impl Shown {
    /// Prints what was made, in words or as one JSON object.
    pub fn report(&self, as_json: bool, words: &str, mut object: Value) {
        let generated = self.0.as_ref().map(SecretString::expose_secret);
        if as_json {
            if let Some(password) = generated {
                object["password"] = json!(password);
            }
            println!("{object}");
            return;
        }
        println!("{words}");
        if let Some(password) = generated {
            println!("password, shown this once: {password}");
        }
    }
}
