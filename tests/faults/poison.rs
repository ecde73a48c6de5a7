//! A task that takes its worker down each time: it is given up in the end, alone.

use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::bench::Bench;

/// Slower than any machine is at finding out that it was asked: no answer comes before the kill.
const MODEL: &str = "scripted-slow-20501";
const ANSWERED_WITHIN: &str = "60s";
/// Claims, leases that run out, and what else is broken meanwhile.
const PATIENCE: Duration = Duration::from_mins(3);
const PATIENCE_IN_A_SOAK: Duration = Duration::from_secs(75);
/// So long after it was announced a call has left, and its neighbours' have.
const ASKED_AFTER: Duration = Duration::from_millis(400);

/// One more such task, until it is given up. Where others that lost as many claims to other
/// faults go before it for long, it is left to go on like any task.
pub async fn one_more(bench: &mut Bench) {
    let poison = submit(bench).await;
    match until_it_is_over(bench, &poison, PATIENCE_IN_A_SOAK).await {
        Ok(_) => bench.poisons.push(poison),
        Err(deaths) => {
            println!("       {poison} waits for its last claim after {deaths} deaths, and is left to itself");
        }
    }
}

async fn submit(bench: &Bench) -> String {
    bench.load.submit_patient(MODEL, ANSWERED_WITHIN).await
}

/// Kills the worker that asks for the task, each time. Gives the deaths; as an error those
/// up to when patience ended.
async fn until_it_is_over(bench: &mut Bench, poison: &str, patience: Duration) -> Result<u32, u32> {
    let (mut deaths, give_up) = (0, Instant::now() + patience);
    let mut aged = Instant::now();
    while !is_over(bench, poison).await {
        if Instant::now() > give_up {
            return Err(deaths);
        }
        if let Some(nth) = asking(bench, poison).await {
            tokio::time::sleep(ASKED_AFTER).await;
            // A provider that limits its rate has answered by now.
            if asking(bench, poison).await != Some(nth) {
                continue;
            }
            bench.workers.remove(nth).kill();
            bench.kills += 1;
            deaths += 1;
            bench.hire();
        }
        if bench.hurry && aged.elapsed() > Duration::from_secs(2) {
            bench.age_tickets().await;
            aged = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(deaths)
}

async fn is_over(bench: &Bench, task: &str) -> bool {
    let over = "select finished_at is not null from task_queue where id = $1::uuid";
    sqlx::query_scalar(over).bind(task).fetch_one(&bench.root).await.unwrap_or(false)
}

/// The worker that asks the model for the task's second node at this moment.
async fn asking(bench: &Bench, task: &str) -> Option<usize> {
    let worker = "select t.worker from task_queue t join call_intents i on i.task_id = t.id and i.epoch = t.epoch
                   where t.id = $1::uuid and t.status = 'running' and i.state = 'open' and i.node_id = 'second'";
    let name: String = sqlx::query_scalar(worker).bind(task).fetch_optional(&bench.root).await.ok()??;
    // A name is made of the host, the process id and chance.
    bench.workers.iter().position(|worker| name.contains(&format!("-{}-", worker.pid())))
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_task_that_kills_its_worker_each_time_is_dead_in_the_end(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    bench.load.submit_many(2, "scripted-small").await;
    let poison = submit(&bench).await;
    assert_eq!(until_it_is_over(&mut bench, &poison, PATIENCE).await, Ok(5), "claims are counted, crashes included");
    bench.load.submit_many(2, "scripted-small").await;
    let findings = bench.holds().await;
    assert_eq!((findings.ended["completed"], findings.ended["dead"], findings.unknown_lines), (4, 1, 5), "{findings}");
}

/// Ten tasks die with it while nobody knows which of them it was. They are found out one by one.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn it_takes_no_innocent_with_it(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    bench.workers.truncate(1);
    let (poison, _) = tokio::join!(submit(&bench), bench.load.submit_many(10, "scripted-slow-1900"));
    let deaths = until_it_is_over(&mut bench, &poison, PATIENCE).await;
    bench.poisons.push(poison);
    let findings = bench.holds().await;
    assert_eq!((findings.ended.get("completed"), findings.ended.get("dead")), (Some(&10), Some(&1)), "{findings}");
    assert_eq!(deaths, Ok(5));
    let shared = "select count(*) from task_queue where attempt = 5 and status = 'completed'";
    assert!(bench.stack.count(shared).await > 0, "some were there at four deaths, and tried by themselves");
}
