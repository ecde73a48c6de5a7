//! The commands, as they are typed, and what runs each.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use super::{
    admin, audit, catalog, completions, config,
    dev::{bench, demo, dev_command, provider_sim, stack_command},
    env::{Env, environment},
    exit, healthcheck, memory, migrate, openapi, prices, recipe, run,
    runtime::wait,
    serve::Parts,
};

/// Runs AI agent recipes for digital agencies, and accounts for every model call exactly once.
#[derive(Debug, Parser)]
#[command(name = "teamai", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a whole private installation: Postgres, Redis, schema, catalogue, API and worker
    Dev(dev_command::Args),
    /// Run the main job once, on real input, and show what it did and cost
    Demo(demo::Args),
    /// Measure this machine with the real servers and a scripted model
    Bench(bench::Args),
    /// Serve the API and run tasks, in one process
    Serve,
    /// Serve the API alone
    Api,
    /// Run tasks alone; start as many as needed
    Worker,
    /// Bring the schema up to date
    Migrate(migrate::Args),
    /// Agencies, admins and keys, for the operator
    Admin(admin::Args),
    /// The agencies' ledgers, for the operator
    Audit(audit::Args),
    /// Print the configuration in force, secrets hidden
    Config(config::Args),
    /// Ask a server whether it is ready; 0 when it is
    Healthcheck(healthcheck::Args),
    /// Run a command beside a private Postgres and Redis, for tests
    Stack(stack_command::Args),
    /// Serve the scripted model provider over HTTP
    ProviderSim(provider_sim::Args),
    /// The platform's price book
    Prices(prices::Args),
    /// The platform's cookbooks, recipes and prices
    Catalog(catalog::Args),
    /// Check a recipe, run one, or print the format's JSON Schema
    Recipe(recipe::Args),
    /// Print the specification of the API
    Openapi,
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// Parses the arguments and runs the command. 0 done, 1 failed, 2 bad use or configuration.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() { exit::bad_use() } else { ExitCode::SUCCESS };
        }
    };
    let env = environment();
    if matches!(cli.command, Command::Serve | Command::Api | Command::Worker | Command::Dev(_)) {
        memory::give_back(&env);
    }
    match dispatch(cli.command, env) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}

fn dispatch(command: Command, env: Env) -> anyhow::Result<ExitCode> {
    match command {
        Command::Config(args) => config::run(&args, env),
        Command::Completions(args) => Ok(completions::run(&args, &mut Cli::command())),
        Command::Dev(args) => wait(dev_command::run(args, env)),
        Command::Demo(args) => wait(demo::run(args, env)),
        Command::Bench(args) => wait(bench::run(args, env)),
        Command::Healthcheck(args) => wait(healthcheck::run(args, env)),
        Command::Stack(args) => wait(stack_command::run(args, env)),
        Command::Serve => wait(run::run(Parts { api: true, worker: true }, env)),
        Command::Api => wait(run::run(Parts { api: true, worker: false }, env)),
        Command::Worker => wait(run::run(Parts { api: false, worker: true }, env)),
        Command::Catalog(args) => wait(catalog::run(args, env)),
        Command::Recipe(args) => recipe::dispatch(args),
        Command::Openapi => openapi::run(),
        Command::Admin(args) => wait(admin::run(args, env)),
        Command::Audit(args) => wait(audit::run(args, env)),
        Command::Migrate(args) => wait(migrate::run(args, env)),
        Command::Prices(args) => wait(prices::run(args, env)),
        Command::ProviderSim(args) => wait(provider_sim::run(args)),
    }
}

#[cfg(test)]
mod tests {
    use super::CommandFactory as _;

    #[test]
    fn the_commands_hold_together() {
        super::Cli::command().debug_assert();
    }
}
