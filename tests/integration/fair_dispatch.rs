//! Whose task gets a ticket next, and how a lost one is found: what the functions of dispatching promise.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, PgPool};
use teamai::{
    base::TaskId,
    db::lane::Flush,
    queue::Ticket,
    tasks::{
        dispatch::{self, Dispatched},
        lease::{self, ClaimFlush, Claimed},
    },
};
use uuid::Uuid;

use crate::fixture::{self, Tenant, id};

/// A worker's view of the queue.
pub struct Queue {
    pub root: PgPool,
    pub worker: PgPool,
}

impl Queue {
    pub async fn new(root: &PgPool) -> Self {
        Self { root: root.clone(), worker: fixture::as_role(root, "teamai_worker").await }
    }

    /// Tasks without a ticket, one after the other.
    pub async fn put(&self, of: Tenant, number: usize, priority: i16) -> Vec<Uuid> {
        let ids: Vec<Uuid> = (0..number).map(|_| id()).collect();
        sqlx::query(
            "insert into task_queue (id, agency_id, team_id, agent_instance_id, recipe_id, recipe_slug, recipe_version,
                                     steps_total, priority)
             select u, $2, $3, $4, $5, 'audit', '1.0.0', 1, $6 from unnest($1) u",
        )
        .bind(&ids)
        .bind(of.agency)
        .bind(of.team)
        .bind(of.agent)
        .bind(of.recipe)
        .bind(priority)
        .execute(&self.root)
        .await
        .unwrap();
        ids
    }

    pub async fn dispatch(&self, window: i32) -> Dispatched {
        dispatch::dispatch(&self.worker, window, None).await.unwrap().expect("nobody else dispatches")
    }

    pub async fn claim(&self, tasks: &[Uuid]) -> Vec<Option<Claimed>> {
        let claims = ClaimFlush {
            pool: self.worker.clone(),
            worker: "w".to_owned(),
            lease_seconds: 60,
            max_claims: 3,
            alone_from: 4,
            agency_limit: None,
        };
        claims.flush(&tasks.iter().copied().map(TaskId).collect::<Vec<_>>()).await.unwrap()
    }

    pub async fn run(&self, statement: &str) {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&self.root).await.unwrap();
    }

    pub async fn count(&self, of: &str) -> i64 {
        let query = format!("select count(*) from task_queue where {of}");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.root).await.unwrap()
    }
}

pub fn tasks(tickets: &[Ticket]) -> Vec<Uuid> {
    tickets.iter().map(|ticket| ticket.task_id.0).collect()
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn an_agency_with_one_task_comes_before_the_backlog_of_another(root: PgPool) {
    let queue = Queue::new(&root).await;
    let (big, small) = (fixture::tenant(&root).await, fixture::tenant(&root).await);
    let backlog = queue.put(big, 200, 9).await;
    let first = queue.dispatch(10).await;
    assert_eq!(tasks(&first.tickets), backlog[..10], "in the order in which they came");
    assert!(first.more && !first.held);
    let nothing = queue.dispatch(10).await;
    assert!(nothing.tickets.is_empty() && nothing.more, "the window is full");

    let lone = queue.put(small, 1, 0).await;
    assert_eq!(queue.claim(&backlog[..3]).await.iter().flatten().count(), 3);
    let second = tasks(&queue.dispatch(10).await.tickets);
    assert_eq!(second.len(), 3, "as many as were taken");
    assert_eq!(second[0], lone[0], "it has least in flight, whatever its priority");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn agencies_share_the_window_and_each_sends_its_most_urgent(root: PgPool) {
    let queue = Queue::new(&root).await;
    let mut urgent = BTreeSet::new();
    let mut tenants = Vec::new();
    for _ in 0..3 {
        let tenant = fixture::tenant(&root).await;
        queue.put(tenant, 20, 5).await;
        urgent.extend(queue.put(tenant, 2, 7).await);
        tenants.push(tenant);
    }
    let sent = tasks(&queue.dispatch(6).await.tickets);
    assert_eq!(sent.iter().copied().collect::<BTreeSet<_>>(), urgent, "two of each, those of priority 7");
    queue.run("update task_queue set status = 'running', lease_until = now() + interval '1 min' where dispatched_at is not null").await;
    queue.dispatch(30).await;
    for tenant in tenants {
        let of = format!("agency_id = '{}' and dispatched_at is not null and status = 'queued'", tenant.agency);
        assert_eq!(queue.count(&of).await, 10);
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_is_for_later_waits_for_its_time(root: PgPool) {
    let queue = Queue::new(&root).await;
    let tenant = fixture::tenant(&root).await;
    let ids = queue.put(tenant, 3, 5).await;
    queue.run(&format!("update task_queue set run_at = now() + interval '1 hour' where id <> '{}'", ids[1])).await;
    let sent = queue.dispatch(10).await;
    assert_eq!((tasks(&sent.tickets), sent.more), (vec![ids[1]], false));
    queue.run(&format!("update task_queue set run_at = now() where id = '{}'", ids[0])).await;
    assert_eq!(tasks(&queue.dispatch(10).await.tickets), [ids[0]]);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn one_process_dispatches_at_a_time(root: PgPool) {
    let queue = Queue::new(&root).await;
    let tenant = fixture::tenant(&root).await;
    queue.put(tenant, 3, 5).await;
    let mut other = queue.worker.begin().await.unwrap();
    sqlx::query("select * from app.dispatch_tasks(2, null)").execute(&mut *other).await.unwrap();
    assert!(dispatch::dispatch(&queue.worker, 2, None).await.unwrap().is_none());
    other.commit().await.unwrap();
    assert!(queue.dispatch(2).await.tickets.is_empty(), "the window counts what the other sent");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_ticket_that_redis_has_not_and_a_lease_that_ran_out_go_back_to_the_backlog(root: PgPool) {
    let queue = Queue::new(&root).await;
    let tenant = fixture::tenant(&root).await;
    let ids = queue.put(tenant, 4, 5).await;
    let sent = queue.dispatch(10).await;
    assert_eq!(queue.claim(&ids[3..]).await.iter().flatten().count(), 1);
    let waiting: Vec<Uuid> = sent.tickets[..2].iter().map(|ticket| ticket.dispatch_id).collect();
    assert_eq!(dispatch::reclaim(&queue.worker, &waiting, 60_000).await.unwrap(), 0, "it may be on its way");
    assert_eq!(dispatch::reclaim(&queue.worker, &waiting, 0).await.unwrap(), 1);
    assert_eq!(tasks(&queue.dispatch(10).await.tickets), [ids[2]]);

    queue.run(&format!("update task_queue set lease_until = now() - interval '1 s' where id = '{}'", ids[3])).await;
    let waiting: Vec<Uuid> = sqlx::query_scalar("select dispatch_id from task_queue where status = 'queued'")
        .fetch_all(&root)
        .await
        .unwrap();
    assert_eq!(dispatch::reclaim(&queue.worker, &waiting, 0).await.unwrap(), 1);
    let again = queue.dispatch(10).await;
    assert_eq!(tasks(&again.tickets), [ids[3]]);
    let waiting = [waiting, vec![again.tickets[0].dispatch_id]].concat();
    assert_eq!(dispatch::reclaim(&queue.worker, &waiting, 0).await.unwrap(), 0, "it has its new ticket");
    assert_eq!(queue.claim(&ids[3..]).await[0].as_ref().unwrap().epoch, 2);
}

/// Whoever changes a status: the queue needs no word of it.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_ticket_follows_the_status(root: PgPool) {
    let queue = Queue::new(&root).await;
    let tenant = fixture::tenant(&root).await;
    let ids = queue.put(tenant, 1, 5).await;
    queue.dispatch(10).await;
    let claimed = queue.claim(&ids).await.remove(0).unwrap();
    assert_eq!(queue.count("dispatched_at < 'infinity'").await, 1);
    queue.run("update task_queue set status = 'waiting', lease_until = null").await;
    assert_eq!(queue.count("dispatched_at = 'infinity'").await, 1);
    assert_eq!(dispatch::reclaim(&queue.worker, &[], 0).await.unwrap(), 0);
    assert!(queue.dispatch(10).await.tickets.is_empty(), "it waits for somebody, not for a worker");
    queue.run("update task_queue set status = 'queued'").await;
    assert_eq!(tasks(&queue.dispatch(10).await.tickets), ids);
    let claimed_again = queue.claim(&ids).await.remove(0).unwrap();
    assert_eq!(claimed_again.epoch, claimed.epoch + 1);
    lease::release(&queue.worker, &ids, &[claimed_again.epoch]).await.unwrap();
    assert_eq!(tasks(&queue.dispatch(10).await.tickets), ids, "handed back, it is due at once");
}

/// A ticket that was given up may claim all the same: what runs is not dispatched again.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_claim_takes_the_task_out_of_the_backlog(root: PgPool) {
    let queue = Queue::new(&root).await;
    let ids = queue.put(fixture::tenant(&root).await, 1, 5).await;
    assert!(queue.claim(&ids).await[0].is_some());
    assert_eq!(queue.count("dispatched_at is null").await, 0);
    assert!(queue.dispatch(10).await.tickets.is_empty());
}
