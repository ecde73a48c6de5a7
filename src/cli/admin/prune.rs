//! `teamai admin prune`: deletes finished tasks that are old.

use serde_json::json;

use super::operator::{across_agencies, connect};
use crate::{
    base::{AgencyId, Clock, SystemClock},
    cli::database,
    config::Config,
};

/// Tasks deleted in one transaction.
const BATCH: i64 = 500;

/// With their steps and outputs. Ledgers and results of experiments stay.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The age, counted from the end of the task: a number of days, as in 90d
    #[arg(long, value_name = "AGE", value_parser = days)]
    older_than: u32,
    /// Only tasks of this agency
    #[arg(long)]
    agency: Option<AgencyId>,
    /// Say how many there are, and delete none
    #[arg(long)]
    dry_run: bool,
    #[arg(long)]
    json: bool,
}

/// In batches: one that is cut off has deleted what it had come to.
pub async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let Args { older_than, agency, dry_run, json: as_json } = args;
    let before = SystemClock.now() - chrono::TimeDelta::days(i64::from(older_than));
    let mut connection = connect(config).await?;
    let mut pruned = 0;
    if dry_run {
        let mut tx = across_agencies(&mut connection).await?;
        pruned = database::prunable(&mut tx, before, agency).await?;
    } else {
        loop {
            let mut tx = across_agencies(&mut connection).await?;
            let batch = database::prune(&mut tx, before, agency, BATCH).await?;
            tx.commit().await?;
            pruned += batch;
            if batch < BATCH {
                break;
            }
        }
    }
    match (as_json, dry_run) {
        (true, _) => println!("{}", json!({"tasks": pruned, "deleted": !dry_run, "before": before})),
        (false, true) => println!("{pruned} finished tasks are older than {older_than} days"),
        (false, false) => println!("{pruned} finished tasks deleted"),
    }
    Ok(())
}

fn days(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('d').unwrap_or(text).parse::<u32>();
    let fits = number.ok().filter(|days| (1..=36_500).contains(days));
    fits.ok_or_else(|| "must be a number of days from 1 to 36500, as in 90d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_of_days() {
        assert_eq!((days("90d"), days("1")), (Ok(90), Ok(1)));
        for text in ["0", "0d", "90h", "-1d", "", "d", "36501"] {
            assert!(days(text).unwrap_err().contains("as in 90d"), "{text}");
        }
    }
}
