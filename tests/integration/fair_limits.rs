//! How many of an agency's, a team's or a cookbook's tasks run at once, and what is paused.

use futures::future::join_all;
use serde_json::json;
use sqlx::PgPool;
use teamai::tasks::dispatch;

use crate::{
    fair_dispatch::{Queue, tasks},
    fixture::{self, Tenant, id},
};

/// Puts one of the three limits on the tenant's work.
async fn limit(queue: &Queue, of: Tenant, kind: &str, number: i32) {
    match kind {
        "agency" => {
            let settings = json!({"max_concurrent_tasks": number});
            queue.run(&format!("update agencies set settings = '{settings}' where id = '{}'", of.agency)).await;
        }
        "team" => {
            queue.run(&format!("update teams set max_concurrent_tasks = {number} where id = '{}'", of.team)).await;
        }
        _ => {
            let (cookbook, document) = (id(), json!({"subscription_limits": {"max_concurrent_executions": number}}));
            queue
                .run(&format!(
                    "insert into cookbooks (id, agency_id, agent_role_id, slug, name, version, document, content_hash)
                     select '{cookbook}', agency_id, agent_role_id, 'book', 'Book', '1', '{document}', sha256('x')
                       from agent_instances where id = '{}'",
                    of.agent
                ))
                .await;
            queue.run(&format!("update recipes set cookbook_id = '{cookbook}' where id = '{}'", of.recipe)).await;
        }
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn over_a_limit_nothing_is_dispatched_and_a_freed_place_is_taken(root: PgPool) {
    let queue = Queue::new(&root).await;
    for kind in ["agency", "team", "cookbook"] {
        let (limited, free) = (fixture::tenant(&root).await, fixture::tenant(&root).await);
        limit(&queue, limited, kind, 2).await;
        let ids = queue.put(limited, 5, 5).await;
        let others = queue.put(free, 3, 5).await;
        let sent = queue.dispatch(1000).await;
        assert_eq!(sent.tickets.len(), 2 + 3, "{kind}");
        assert!(sent.held && !sent.more, "{kind}: the rest waits for a place, not for room");
        let claimed = queue.claim(&[&ids[..2], &others].concat()).await;
        assert_eq!(claimed.iter().flatten().count(), 5, "{kind}");
        assert!(queue.dispatch(1000).await.tickets.is_empty(), "{kind}");
        queue
            .run(&format!("update task_queue set status = 'completed', finished_at = now() where id = '{}'", ids[0]))
            .await;
        assert_eq!(tasks(&queue.dispatch(1000).await.tickets), [ids[2]], "{kind}");
        queue.run("update task_queue set status = 'completed', finished_at = now() where finished_at is null").await;
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_claim_over_a_limit_leaves_the_task_in_the_backlog(root: PgPool) {
    let queue = Queue::new(&root).await;
    for kind in ["agency", "team", "cookbook"] {
        let tenant = fixture::tenant(&root).await;
        limit(&queue, tenant, kind, 2).await;
        let ids = queue.put(tenant, 6, 5).await;
        // As if the API had pushed them all.
        queue.run("update task_queue set dispatched_at = now(), dispatch_id = gen_random_uuid()").await;
        let claimed = queue.claim(&ids).await;
        let taken: Vec<_> = claimed.iter().map(Option::is_some).collect();
        assert_eq!(taken, [true, true, false, false, false, false], "{kind}: the oldest");
        assert_eq!(queue.count("dispatched_at is null").await, 4, "{kind}");
        assert!(queue.claim(&ids[2..]).await.iter().all(Option::is_none), "{kind}");
        // A worker that died takes no place once its lease is over.
        queue.run(&format!("update task_queue set lease_until = now() - interval '1 s' where id = '{}'", ids[0])).await;
        assert!(queue.claim(&ids[2..3]).await[0].is_some(), "{kind}");
        assert!(queue.claim(&ids[..1]).await[0].is_none(), "{kind}: its place was taken");
        queue.run("update task_queue set status = 'completed', finished_at = now() where finished_at is null").await;
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn claims_at_the_same_moment_do_not_pass_a_limit_together(root: PgPool) {
    let queue = Queue::new(&root).await;
    let tenant = fixture::tenant(&root).await;
    limit(&queue, tenant, "agency", 3).await;
    for _ in 0..5 {
        let ids = queue.put(tenant, 8, 5).await;
        let claims = ids.chunks(1).map(|one| queue.claim(one));
        let passed = join_all(claims).await.into_iter().flatten().flatten().count();
        assert_eq!(passed, 3);
        queue.run("update task_queue set status = 'completed', finished_at = now() where finished_at is null").await;
    }
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_operators_limit_stays_above_the_agencys_own(root: PgPool) {
    let queue = Queue::new(&root).await;
    let tenant = fixture::tenant(&root).await;
    limit(&queue, tenant, "agency", 50).await;
    queue.put(tenant, 10, 5).await;
    let sent = dispatch::dispatch(&queue.worker, 1000, Some(4)).await.unwrap().unwrap();
    assert_eq!(sent.tickets.len(), 4);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_limit_on_one_team_does_not_hold_up_another(root: PgPool) {
    let queue = Queue::new(&root).await;
    let tenant = fixture::tenant(&root).await;
    limit(&queue, tenant, "team", 1).await;
    let (team, agent) = (id(), id());
    queue
        .run(&format!("insert into teams (id, agency_id, name) values ('{team}', '{}', 'Other')", tenant.agency))
        .await;
    queue
        .run(&format!(
            "insert into agent_instances (id, agency_id, team_id, agent_role_id, custom_name)
             select '{agent}', agency_id, '{team}', agent_role_id, 'Bob' from agent_instances where id = '{}'",
            tenant.agent
        ))
        .await;
    // More urgent, and far more than are looked at for one turn.
    queue.put(tenant, 300, 9).await;
    let other = queue.put(Tenant { team, agent, ..tenant }, 3, 1).await;
    let sent = tasks(&queue.dispatch(10).await.tickets);
    assert_eq!(sent.len(), 4);
    assert_eq!(sent[1..], other);
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn what_is_paused_is_neither_dispatched_nor_claimed(root: PgPool) {
    let queue = Queue::new(&root).await;
    for kind in ["agency", "team", "agent"] {
        let (paused, other) = (fixture::tenant(&root).await, fixture::tenant(&root).await);
        let running = queue.put(paused, 1, 5).await;
        assert!(queue.claim(&running).await[0].is_some());
        let (team, agent) = match kind {
            "agency" => ("null".to_owned(), "null".to_owned()),
            "team" => (format!("'{}'", paused.team), "null".to_owned()),
            _ => ("null".to_owned(), format!("'{}'", paused.agent)),
        };
        queue
            .run(&format!(
                "insert into queue_pauses (id, agency_id, team_id, agent_instance_id) values ('{}', '{}', {team}, {agent})",
                id(),
                paused.agency
            ))
            .await;
        let (held, free) = (queue.put(paused, 2, 5).await, queue.put(other, 1, 5).await);
        let sent = queue.dispatch(100).await;
        assert_eq!(tasks(&sent.tickets), free, "{kind}");
        assert!(!sent.held && !sent.more, "{kind}: nothing will come of itself");
        queue.run("update task_queue set dispatched_at = now() where status = 'queued'").await;
        let claimed = queue.claim(&[held.clone(), free].concat()).await;
        assert_eq!(claimed.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true], "{kind}");
        assert_eq!(queue.count("dispatched_at is null").await, 2, "{kind}: they wait in the backlog");
        assert_eq!(queue.count(&format!("id = '{}' and status = 'running'", running[0])).await, 1);
        queue.run("delete from queue_pauses").await;
        assert_eq!(tasks(&queue.dispatch(100).await.tickets), held, "{kind}");
        queue.run("update task_queue set status = 'completed', finished_at = now() where finished_at is null").await;
    }
}
