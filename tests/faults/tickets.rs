//! The same ticket twenty times, and tickets that make no sense.

use redis::{AsyncCommands, aio::ConnectionManager};
use sqlx::PgPool;
use teamai::{
    base::TaskId,
    queue::{self, QUEUE, Ticket, Tickets},
};
use uuid::Uuid;

use super::bench::Bench;
use crate::fixture::id;

fn connection(bench: &Bench) -> ConnectionManager {
    queue::connect(&bench.stack.redis.url()).unwrap().1
}

/// Tickets of open tasks and of a few finished ones, ten under one dispatch id and ten under their own.
pub async fn repeated(bench: &mut Bench) {
    let tasks: Vec<Uuid> =
        sqlx::query_scalar("select id from task_queue order by finished_at desc nulls first limit 12")
            .fetch_all(&bench.root)
            .await
            .unwrap_or_default();
    let tickets = Tickets::new(connection(bench));
    for task in tasks {
        let same = id();
        let all: Vec<_> =
            (0..20).map(|n| Ticket { task_id: TaskId(task), dispatch_id: if n < 10 { same } else { id() } }).collect();
        // A Redis that is away loses them, as it may.
        tickets.push(&all).await.ok();
    }
}

/// Ids without data, data that is no ticket, tickets of tasks that nobody knows.
pub async fn garbage(bench: &mut Bench) {
    let mut redis = connection(bench);
    let data = format!("{QUEUE}:data");
    for nonsense in ["", "null", "[]", "{\"task_id\":7}", "{\"task_id\":\"x\",\"dispatch_id\":\"y\"}", "\u{0}\u{ff}"] {
        let ticket = id().simple().to_string();
        let _: Result<(), _> = redis.hset(&data, &ticket, nonsense).await;
        let _: Result<(), _> = redis.hset(format!("{QUEUE}:meta:{ticket}"), "attempts", "many").await;
        let _: Result<(), _> = redis.rpush(format!("{QUEUE}:active"), &ticket).await;
    }
    for nameless in ["no-such-ticket", "", "\u{1}", "{teamai}:data"] {
        let _: Result<(), _> = redis.rpush(format!("{QUEUE}:active"), nameless).await;
    }
    let strangers: Vec<_> = (0..5).map(|_| Ticket { task_id: TaskId(id()), dispatch_id: id() }).collect();
    Tickets::new(redis).push(&strangers).await.ok();
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn are_dropped_and_every_task_runs_once(root: PgPool) {
    let mut bench = Bench::start(&root).await;
    bench.load.submit_many(10, "scripted-slow-500").await;
    repeated(&mut bench).await;
    garbage(&mut bench).await;
    bench.load.submit_many(5, "scripted-small").await;
    repeated(&mut bench).await;
    let findings = bench.holds().await;
    // The provider of one agency's key refuses what is too fast.
    let answered = bench.provider.requests().iter().filter(|request| request["status"] == 200).count();
    assert_eq!((findings.ended["completed"], answered), (15, 30), "each was asked once");
    let claims: Vec<i32> =
        sqlx::query_scalar("select distinct attempt from task_queue").fetch_all(&root).await.unwrap();
    assert_eq!(claims, [1]);
}
