//! The commands: one file each. The only place that wires the parts together.

mod admin;
mod api_client;
mod audit;
mod bench;
mod catalog;
mod completions;
mod config;
mod demo;
mod dev;
mod exit;
mod healthcheck;
mod key_probe;
mod memory;
mod migrate;
pub mod oidc;
mod openapi;
mod prices;
mod private;
mod progress;
mod provider_sim;
mod recipe;
mod root_keys;
mod run;
mod serve;
mod show;
mod shutdown;
pub mod stack;
mod stack_command;
mod store;
mod task_run;
mod telemetry;

use std::{collections::BTreeMap, process::ExitCode};

use clap::{Parser, Subcommand};

use serve::Parts;

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
    Dev(dev::Args),
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

/// The environment as the process found it, handed to whatever needs it.
pub(crate) type Env = BTreeMap<String, String>;

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

/// What is not Unicode cannot be a setting of ours and is left out.
fn environment() -> Env {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn dispatch(command: Command, env: Env) -> anyhow::Result<ExitCode> {
    match command {
        Command::Config(args) => config::run(&args, env),
        Command::Completions(args) => Ok(completions::run(&args)),
        Command::Dev(args) => wait(dev::run(args, env)),
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

/// Runs an asynchronous command on all cores.
fn wait(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    // What still runs here is blocking work that nobody waits for any more.
    runtime.shutdown_background();
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_commands_hold_together() {
        super::Cli::command().debug_assert();
    }
}
