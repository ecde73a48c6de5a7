//! `teamai recipe`: checks a file, runs one, prints the format's schema.

mod run;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::json;

use super::{exit, runtime::wait};
use crate::catalog::{check, components, problem::Problem, schema};

/// Recipes as files.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check a recipe and report every problem, with path and line
    Validate {
        file: PathBuf,
        #[arg(long)]
        json: bool,
    },
    /// Publish a recipe for your agency and run it, through the server that answers
    Run(run::Args),
    /// Print the JSON Schema of the format
    Schema,
}

/// # Errors
/// The file cannot be read, or the server refuses it.
pub fn dispatch(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Schema => print!("{}", schema::recipe_text()),
        Command::Validate { file, json } => return validate(&file, json),
        Command::Run(args) => return wait(run::run(args)),
    }
    Ok(ExitCode::SUCCESS)
}

fn validate(file: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let source = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let (problems, warnings) = match check::recipe(&source, &components::exists) {
        Ok(checked) => (Vec::new(), checked.warnings),
        Err(report) => (report.problems, report.warnings),
    };
    if as_json {
        println!("{}", json!({"valid": problems.is_empty(), "problems": problems, "warnings": warnings}));
    } else {
        show(&file.display().to_string(), &problems, &warnings);
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { exit::failed() })
}

fn show(file: &str, problems: &[Problem], warnings: &[Problem]) {
    for warning in warnings {
        println!("warning: {warning}");
    }
    for problem in problems {
        println!("error: {problem}");
    }
    match problems.len() {
        0 => println!("{file} is valid"),
        n => println!("{file}: {n} problems"),
    }
}
