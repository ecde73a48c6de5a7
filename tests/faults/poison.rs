//! A task that takes its worker down each time: it is given up in the end.

use sqlx::PgPool;

use super::bench::Bench;
use crate::stack::eventually;

const POISON: &str = "scripted-slow-1501";

#[sqlx::test(migrations = "./migrations")]
async fn a_task_that_kills_its_worker_each_time_is_dead_in_the_end(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    bench.load.submit_many(2, "scripted-small").await;
    bench.settled().await;
    let poison = bench.load.submit(POISON).await;
    let status = async || {
        let status = "select status from task_queue where id = $1::uuid";
        sqlx::query_scalar::<_, String>(status).bind(&poison).fetch_one(&root).await.unwrap()
    };
    let mut deaths = 0;
    while status().await != "dead" {
        eventually("it is asked again, or given up", async || {
            bench.age_tickets().await;
            (bench.times_asked(POISON) > deaths || status().await == "dead").then_some(())
        })
        .await;
        if bench.times_asked(POISON) > deaths {
            deaths += 1;
            bench.kill_workers();
            bench.hire();
        }
    }
    assert_eq!(deaths, 5, "claims are counted, crashes included");
    bench.load.submit_many(2, "scripted-small").await;
    let findings = bench.holds().await;
    assert_eq!((findings.ended["completed"], findings.ended["dead"], findings.unknown_lines), (4, 1, 5), "{findings}");
}
