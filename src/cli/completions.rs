//! `teamai completions`: a completion script for a shell.

use std::process::ExitCode;

use clap_complete::Shell;

#[derive(Debug, clap::Args)]
pub struct Args {
    shell: Shell,
}

pub fn run(args: &Args, command: &mut clap::Command) -> ExitCode {
    clap_complete::generate(args.shell, command, "teamai", &mut std::io::stdout());
    ExitCode::SUCCESS
}
