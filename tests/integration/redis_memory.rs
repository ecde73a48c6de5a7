//! What finished tickets leave behind in Redis: nothing, however many there were.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use apalis::prelude::{BoxDynError, Data, Monitor, ParallelizeExt, WorkerBuilder, WorkerBuilderExt};
use redis::aio::ConnectionManager;
use teamai::{
    base::TaskId,
    queue::{self, Ticket, Tickets, Wake},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fixture::id,
    stack::{Redis, eventually},
};

/// As many as the widest window.
const BATCH: usize = 2_000;

type Done = Arc<AtomicUsize>;

async fn handle(_: Ticket, done: Data<Done>) -> Result<(), BoxDynError> {
    done.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Bytes in use, and the number of keys.
async fn size(connection: &mut ConnectionManager) -> (u64, u64) {
    let info: String = redis::cmd("INFO").arg("memory").query_async(connection).await.unwrap();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let keys: u64 = redis::cmd("DBSIZE").query_async(connection).await.unwrap();
    (used.trim().parse().unwrap(), keys)
}

/// Sends tickets through the real apalis worker, which does nothing with them, with the
/// pruning of a worker. Gives the sizes after each of the `stops`.
async fn sizes_after(stops: &[usize]) -> Vec<(u64, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let redis = Redis::start(dir.path()).await;
    let (client, mut connection) = queue::connect(&redis.url()).unwrap();
    let (tickets, done, stop) = (Tickets::new(connection.clone()), Done::default(), CancellationToken::new());
    let wake = Wake::default();
    let listening = tokio::spawn(wake.clone().listen(client, stop.clone()));
    let (pulling, counting, stopping) = (connection.clone(), Arc::clone(&done), stop.clone());
    let worker = tokio::spawn(async move {
        let monitor = Monitor::new().register(move |_| {
            WorkerBuilder::new("memory")
                .backend(queue::storage(pulling.clone(), &wake))
                .data(Arc::clone(&counting))
                .concurrency(100)
                .parallelize(tokio::spawn)
                .build(handle)
        });
        let signal = async move {
            stopping.cancelled().await;
            Ok(())
        };
        monitor.run_with_signal(signal).await.unwrap();
    });
    let mut sizes = Vec::new();
    let mut pushed = 0;
    for stop in stops {
        while pushed < *stop {
            let batch: Vec<_> =
                (0..BATCH.min(stop - pushed)).map(|_| Ticket { task_id: TaskId(id()), dispatch_id: id() }).collect();
            tickets.push(&batch).await.unwrap();
            pushed += batch.len();
            eventually("the window is empty", async || (done.load(Ordering::Relaxed) == pushed).then_some(())).await;
            tickets.prune().await.unwrap();
        }
        eventually("the last are acknowledged", async || {
            tickets.prune().await.unwrap();
            let left: u64 = redis::cmd("HLEN").arg("{teamai}:data").query_async(&mut connection.clone()).await.unwrap();
            (left == 0).then_some(())
        })
        .await;
        sizes.push(size(&mut connection).await);
    }
    stop.cancel();
    worker.await.unwrap();
    listening.await.unwrap();
    sizes
}

#[tokio::test]
async fn is_the_same_after_many_tickets_as_after_few() {
    let sizes = sizes_after(&[200, 6_000]).await;
    let (few, many) = (sizes[0], sizes[1]);
    assert_eq!(few.1, many.1, "keys");
    assert!(many.0 < few.0 + 512 * 1024, "{few:?} and {many:?}");
}
