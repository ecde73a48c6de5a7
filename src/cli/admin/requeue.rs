//! `teamai admin requeue`: puts dead tasks back into the queue.

use serde_json::json;

use super::operator::{across_agencies, connect};
use crate::{
    base::{AgencyId, TaskId},
    cli::{database, exit::BadUse},
    config::Config,
};

/// They keep what they have finished, and their attempts count anew.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ids of dead tasks
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    tasks: Vec<TaskId>,
    /// Every dead task, or with --agency every one of the agency
    #[arg(long)]
    all: bool,
    /// Only tasks of this agency
    #[arg(long)]
    agency: Option<AgencyId>,
    #[arg(long)]
    json: bool,
}

/// Refuses when a task that was named is not dead; none is put back then.
pub async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let Args { tasks, all, agency, json: as_json } = args;
    let mut connection = connect(config).await?;
    let mut tx = across_agencies(&mut connection).await?;
    let named: Vec<uuid::Uuid> = tasks.iter().map(|task| task.0).collect();
    let put_back = database::requeue(&mut tx, (!all).then_some(&named), agency).await?;
    let not_dead: Vec<String> = named.iter().filter(|task| !put_back.contains(task)).map(ToString::to_string).collect();
    if !not_dead.is_empty() {
        return Err(BadUse(format!("not dead, or not there: {}", not_dead.join(", "))).into());
    }
    tx.commit().await?;
    if as_json {
        println!("{}", json!({"requeued": put_back}));
    } else {
        println!("{} dead tasks put back into the queue", put_back.len());
    }
    Ok(())
}
