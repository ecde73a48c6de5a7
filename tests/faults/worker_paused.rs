//! A worker that is stopped past its lease and goes on as if nothing had been.

use std::time::{Duration, Instant};

use sqlx::PgPool;

use super::bench::{Bench, LEASE};
use crate::stack::eventually;

const SLOW: &str = "scripted-slow-1800";

/// Stops a worker in the middle of calls; another takes its tasks over, and is at
/// them when it goes on.
pub async fn past_its_lease(bench: &mut Bench) {
    bench.load.submit_many(6, SLOW).await;
    let (nth, name) = busiest(bench).await;
    let paused = bench.workers.remove(nth);
    paused.signal("STOP");
    let give_up = Instant::now() + LEASE * 4;
    while holds_tasks(bench, &name).await && Instant::now() < give_up {
        bench.age_tickets().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    paused.signal("CONT");
    bench.workers.push(paused);
}

/// The worker with the most calls in flight, and its name.
async fn busiest(bench: &Bench) -> (usize, String) {
    let busiest = "select t.worker from task_queue t join call_intents i on i.task_id = t.id
                    where t.status = 'running' and i.state = 'open' and i.model = $1
                    group by t.worker order by count(*) desc limit 1";
    eventually("a worker asks", async || {
        let name: String = sqlx::query_scalar(busiest).bind(SLOW).fetch_optional(&bench.root).await.ok()??;
        // A name is made of the host, the process id and chance.
        let nth = bench.workers.iter().position(|worker| name.contains(&format!("-{}-", worker.pid())))?;
        Some((nth, name))
    })
    .await
}

async fn holds_tasks(bench: &Bench, worker: &str) -> bool {
    let held = "select count(*) > 0 from task_queue where status = 'running' and worker = $1";
    sqlx::query_scalar(held).bind(worker).fetch_one(&bench.root).await.unwrap_or(true)
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn past_its_lease_writes_nothing_more(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    past_its_lease(&mut bench).await;
    let findings = bench.holds().await;
    assert!(findings.unknown_lines > 0, "its calls were taken over");
}
