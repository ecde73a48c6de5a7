//! `teamai recipe`: checks a recipe's file, and prints the schema that editors complete by.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::json;

use super::exit;
use crate::{
    catalog::{Problem, Report, check, schema},
    components,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check a recipe; tells every problem with its place
    Validate {
        file: PathBuf,
        /// Report as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of recipes
    Schema,
}

/// 0 for a valid recipe, 1 for one with problems.
///
/// # Errors
/// The file cannot be read.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Schema => {
            print!("{}", schema::recipe_text());
            Ok(ExitCode::SUCCESS)
        }
        Command::Validate { file, json } => {
            let report = validate(&file)?;
            let valid = report.problems.is_empty();
            if json {
                println!("{}", json!({"valid": valid, "problems": report.problems, "warnings": report.warnings}));
            } else {
                print(&file, &report);
            }
            Ok(if valid { ExitCode::SUCCESS } else { exit::failed() })
        }
    }
}

fn validate(file: &Path) -> anyhow::Result<Report> {
    let source = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let offered = |name: &str| components::NAMES.contains(&name);
    Ok(match check::recipe(&source, &offered) {
        Ok(checked) => Report { problems: Vec::new(), warnings: checked.warnings },
        Err(report) => report,
    })
}

/// As compilers do, so that editors find the place.
fn print(file: &Path, report: &Report) {
    let tell = |kind: &str, problem: &Problem| eprintln!("{kind}: {}: {problem}", file.display());
    report.problems.iter().for_each(|problem| tell("error", problem));
    report.warnings.iter().for_each(|problem| tell("warning", problem));
    match report.problems.len() {
        0 => println!("{} is valid", file.display()),
        1 => println!("{} has 1 problem", file.display()),
        count => println!("{} has {count} problems", file.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validated(text: &str) -> Report {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("recipe.yaml");
        std::fs::write(&file, text).unwrap();
        validate(&file).unwrap()
    }

    #[test]
    fn a_broken_file_is_told_with_its_place() {
        let report = validated("recipe:\n  id: x\n  colour: blue\n");
        assert!(
            report.problems.iter().any(|problem| problem.path.contains("colour") && problem.line.is_some()),
            "{report:?}"
        );
        assert!(validate(Path::new("/nonexistent.yaml")).is_err());
    }
}
