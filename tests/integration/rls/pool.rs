//! A tenant's context ends with its transaction, on connections that many tenants share.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use futures::{StreamExt, stream};
use sqlx::{ConnectOptions, PgPool, Row};
use teamai::{base::AgencyId, db};
use uuid::Uuid;

use super::{ROLES, seed};

const TENANTS: usize = 8;
const REQUESTS: usize = 200;

async fn tenants(root: &PgPool) -> Vec<Uuid> {
    stream::iter(0..TENANTS).then(|_| async { seed(root).await.agency() }).collect().await
}

/// The pool of production, with two connections.
fn pool_of_two(root: &PgPool, role: &str) -> PgPool {
    let mut url = root.connect_options().to_url_lossy();
    url.query_pairs_mut().append_pair("options[role]", role);
    db::connect(url.as_str(), "rls", 2).unwrap()
}

/// The agencies whose rows the tenant's transaction sees, over two statements.
async fn request(pool: &PgPool, agency: Uuid) -> Vec<Uuid> {
    let mut tx = db::tenant(pool, AgencyId(agency)).await.unwrap();
    let mut seen: Vec<Uuid> = sqlx::query_scalar("select agency_id from teams").fetch_all(&mut *tx).await.unwrap();
    tokio::task::yield_now().await;
    seen.extend(sqlx::query_scalar::<_, Uuid>("select agency_id from task_queue").fetch_all(&mut *tx).await.unwrap());
    tx.commit().await.unwrap();
    seen
}

/// What somebody sees who asks for no tenant at all: rows, and what is left of a context.
async fn stranger(pool: &PgPool) -> (i64, Option<String>) {
    let row = sqlx::query("select (select count(*) from teams), nullif(current_setting('app.agency_id', true), '')")
        .fetch_one(pool)
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn two_hundred_mixed_requests_on_two_connections_see_their_own_rows(root: PgPool) {
    let agencies = tenants(&root).await;
    for role in ROLES {
        let pool = pool_of_two(&root, role);
        let requests = (0..REQUESTS).map(|n| {
            let (pool, agency) = (&pool, agencies[n % TENANTS]);
            async move {
                if n % 5 == 0 {
                    assert_eq!(stranger(pool).await, (0, None), "{role}: a context was left behind");
                }
                (agency, request(pool, agency).await)
            }
        });
        for (agency, seen) in futures::future::join_all(requests).await {
            assert_eq!(seen, [agency, agency], "{role}");
        }
        assert!(pool.size() <= 2);
    }
}

/// Polls a future at most so often, then drops it. Whether that cut it off.
async fn is_cut_off_after(polls: usize, future: impl Future) -> bool {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(true);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| false)
    })
    .await
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_request_that_is_dropped_leaves_no_context_behind(root: PgPool) {
    let agencies = tenants(&root).await;
    for role in ROLES {
        let pool = pool_of_two(&root, role);
        request(&pool, agencies[0]).await;
        let mut dropped = 0;
        for n in 0..REQUESTS {
            // Cut off at a different point each time, from before `begin` to after `commit`.
            let polls = n % 16;
            dropped += usize::from(is_cut_off_after(polls, request(&pool, agencies[n % TENANTS])).await);
            assert_eq!(stranger(&pool).await, (0, None), "{role}: request {n}, cut off after {polls} polls");
        }
        assert!(dropped > 20, "{role}: only {dropped} requests were cut off");
        // With nobody's transaction held open.
        let (first, second) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
        drop((first, second));
        assert_eq!(request(&pool, agencies[1]).await, [agencies[1]; 2]);
    }
}
