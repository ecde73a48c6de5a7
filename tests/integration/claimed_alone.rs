//! Tasks that were claimed often and never finished run one at a time in a worker.

use sqlx::PgPool;
use teamai::{
    base::TaskId,
    db::lane::Flush,
    tasks::{
        dispatch,
        lease::{ClaimFlush, Claimed},
        waking,
    },
};
use uuid::Uuid;

use crate::{
    fair_dispatch::{Queue, tasks},
    fixture,
};

const ALONE_FROM: i32 = 4;

/// A worker that is there.
struct Worker<'a> {
    queue: &'a Queue,
    name: &'static str,
}

impl<'a> Worker<'a> {
    async fn start(queue: &'a Queue, name: &'static str) -> Self {
        queue.run(&format!("insert into workers (name, concurrency) values ('{name}', 10)")).await;
        Self { queue, name }
    }

    async fn claim(&self, tasks: &[Uuid]) -> Vec<Option<Claimed>> {
        let claims = ClaimFlush {
            pool: self.queue.worker.clone(),
            worker: self.name.to_owned(),
            lease_seconds: 60,
            max_claims: 5,
            alone_from: ALONE_FROM,
            agency_limit: None,
        };
        claims.flush(&tasks.iter().copied().map(TaskId).collect::<Vec<_>>()).await.unwrap()
    }
}

impl Queue {
    /// Tasks with tickets that were claimed so often.
    async fn claimed_before(&self, number: usize, claims: i32) -> Vec<Uuid> {
        let tasks = self.put(fixture::tenant(&self.root).await, number, 5).await;
        sqlx::query("update task_queue set attempt = $2, epoch = $2, dispatched_at = now() where id = any($1)")
            .bind(&tasks)
            .bind(claims)
            .execute(&self.root)
            .await
            .unwrap();
        tasks
    }

    async fn admit(&self) -> i32 {
        waking::admit(&self.worker, ALONE_FROM).await.unwrap()
    }

    /// Tasks without a ticket or a live lease, put back into the backlog.
    async fn reclaim_all(&self) -> i64 {
        dispatch::reclaim(&self.worker, &[], 0).await.unwrap()
    }

    /// Those that get a ticket now.
    async fn dispatched(&self) -> Vec<Uuid> {
        tasks(&self.dispatch(10).await.tickets)
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn one_at_a_time_beside_others_and_the_oldest_first(root: PgPool) {
    let queue = Queue::new(&root).await;
    let (a, b) = (Worker::start(&queue, "a").await, Worker::start(&queue, "b").await);
    let suspects = queue.claimed_before(4, 3).await;
    let ordinary = queue.claimed_before(2, 2).await;
    let asked = [&suspects[1..], &suspects[..1], &ordinary].concat();
    let claimed = a.claim(&asked).await;
    assert_eq!(claimed.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, false, true, true, true]);
    assert_eq!(queue.count("attempt = 3 and status = 'queued'").await, 3, "a claim that found no place is not counted");
    assert!(queue.dispatched().await.is_empty(), "what is set aside does not go round in circles");

    // Another worker has a place, for one.
    assert_eq!((queue.admit().await, queue.admit().await), (1, 0));
    assert_eq!(queue.dispatched().await, suspects[1..2]);
    assert!(a.claim(&suspects[1..2]).await[0].is_none(), "its ticket came to the wrong one");
    assert_eq!(queue.admit().await, 1, "it is still the oldest");
    assert_eq!(queue.dispatched().await, suspects[1..2]);
    assert!(b.claim(&suspects[1..2]).await[0].is_some());
    assert_eq!(queue.admit().await, 0, "no worker has a place");

    queue
        .run(&format!("update task_queue set status = 'completed', finished_at = now() where id = '{}'", suspects[0]))
        .await;
    assert_eq!(queue.admit().await, 1);
    assert_eq!(queue.dispatched().await, suspects[2..3]);
    assert!(a.claim(&suspects[2..3]).await[0].is_some());
    queue.run("delete from workers where name = 'b'").await;
    assert_eq!(queue.admit().await, 0, "a worker that is gone has no place");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn one_that_cannot_go_on_keeps_no_place_from_others(root: PgPool) {
    let queue = Queue::new(&root).await;
    let a = Worker::start(&queue, "a").await;
    let suspects = queue.claimed_before(3, 3).await;
    assert!(a.claim(&suspects).await[0].is_some());
    queue.run("update task_queue set status = 'completed', finished_at = now() where status = 'running'").await;
    assert_eq!(queue.admit().await, 1);
    // As where its agency is paused: it has no ticket, and a while goes by.
    queue
        .run("update tasks_set_aside set admitted_at = now() - interval '11 seconds' where admitted_at is not null")
        .await;
    assert_eq!(queue.admit().await, 1);
    assert_eq!(queue.dispatched().await, suspects[1..]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_lease_that_runs_out_is_found_whether_its_task_was_set_aside_or_not(root: PgPool) {
    let queue = Queue::new(&root).await;
    let (a, b) = (Worker::start(&queue, "a").await, Worker::start(&queue, "b").await);
    let suspects = queue.claimed_before(2, 3).await;
    let lost = "update task_queue set status = 'running', worker = 'gone', lease_until = now() - interval '1 second'";
    queue.run(lost).await;
    assert_eq!(a.claim(&suspects).await.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    assert_eq!(
        queue.count("status = 'queued' and lease_until is null").await,
        1,
        "nobody holds it, and it runs nowhere"
    );

    // An old ticket of it finds a worker that has a place.
    assert!(b.claim(&suspects[1..]).await[0].is_some());
    assert_eq!(queue.count("attempt = 4 and status = 'running' and dispatched_at < 'infinity'").await, 2);
    queue.run("update task_queue set lease_until = now() - interval '1 second'").await;
    assert_eq!(queue.admit().await, 0);
    assert_eq!(queue.reclaim_all().await, 2);
    // Its own lease ran out, and does not stand in its way.
    assert_eq!(queue.dispatched().await, suspects);
    assert!(a.claim(&suspects[..1]).await[0].is_some());
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_the_claim_ends_needs_no_place(root: PgPool) {
    let queue = Queue::new(&root).await;
    let a = Worker::start(&queue, "a").await;
    let suspects = queue.claimed_before(2, 3).await;
    assert!(a.claim(&suspects[..1]).await[0].is_some());
    queue.run(&format!("update task_queue set cancel_requested_at = now() where id = '{}'", suspects[1])).await;
    let given_up = queue.claimed_before(1, 5).await;
    let ended = a.claim(&[suspects[1], given_up[0]]).await;
    assert_eq!(ended.iter().flatten().map(|task| task.status.as_str()).collect::<Vec<_>>(), ["cancelled", "dead"]);
}
