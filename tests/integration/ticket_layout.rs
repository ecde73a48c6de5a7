//! The keys that our push and prune share with apalis-redis. An upgrade that changes them fails here.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use apalis::prelude::{BoxDynError, Data, Monitor, WorkerBuilder};
use redis::{AsyncCommands, aio::ConnectionManager};
use teamai::{
    base::TaskId,
    queue::{self, Ticket, Tickets, Wake},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fixture::id,
    stack::{Redis, eventually},
};

type Seen = Arc<Mutex<Vec<Ticket>>>;

async fn handle(ticket: Ticket, seen: Data<Seen>) -> Result<(), BoxDynError> {
    seen.lock().unwrap().push(ticket);
    Ok(())
}

/// Runs an apalis worker over our storage until stopped.
async fn work(connection: ConnectionManager, seen: Seen, stop: CancellationToken) {
    let monitor = Monitor::new().register(move |_| {
        WorkerBuilder::new("layout")
            .backend(queue::storage(connection.clone(), &Wake::default()))
            .data(Arc::clone(&seen))
            .build(handle)
    });
    monitor
        .run_with_signal(async move {
            stop.cancelled().await;
            Ok(())
        })
        .await
        .unwrap();
}

async fn keys(connection: &mut ConnectionManager) -> BTreeSet<String> {
    connection.keys::<_, Vec<String>>("*").await.unwrap().into_iter().collect()
}

#[tokio::test]
async fn apalis_takes_and_acknowledges_what_we_push_and_prune_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let redis = Redis::start(dir.path()).await;
    let mut connection = queue::connect(&redis.url()).unwrap().1;
    let tickets = Tickets::new(connection.clone());
    let pushed: Vec<_> = (0..3).map(|_| Ticket { task_id: TaskId(id()), dispatch_id: id() }).collect();
    tickets.push(&pushed).await.unwrap();
    let ids: BTreeSet<String> = pushed.iter().map(|ticket| ticket.dispatch_id.simple().to_string()).collect();

    let active: Vec<String> = connection.lrange("{teamai}:active", 0, -1).await.unwrap();
    assert_eq!(active.into_iter().collect::<BTreeSet<_>>(), ids);
    assert_eq!(tickets.depth().await.unwrap().waiting, 3);
    assert_eq!(tickets.mend().await.unwrap(), 0, "these are ours");

    let (seen, stop) = (Seen::default(), CancellationToken::new());
    let worker = tokio::spawn(work(connection.clone(), Arc::clone(&seen), stop.clone()));
    let done = async |connection: &mut ConnectionManager| -> BTreeSet<String> {
        connection.smembers("{teamai}:done").await.unwrap()
    };
    let mut looking = connection.clone();
    eventually("all are acknowledged", async || (done(&mut looking).await.len() == 3).then_some(())).await;
    assert_eq!(done(&mut connection).await, ids);
    assert_eq!(*seen.lock().unwrap(), pushed, "in the order in which they were pushed");
    for id in &ids {
        let status: String = connection.hget(format!("{{teamai}}:meta:{id}"), "status").await.unwrap();
        assert_eq!(status, "Done");
    }
    let left = keys(&mut connection).await;
    for unused in ["{teamai}:active", "{teamai}:scheduled", "{teamai}:dead", "{teamai}:inflight:layout"] {
        assert!(!left.contains(unused), "{unused} is not empty: {left:?}");
    }
    assert_eq!(tickets.depth().await.unwrap(), queue::Depth { waiting: 0, workers: 1 });

    assert_eq!(tickets.prune().await.unwrap(), 3);
    let left = keys(&mut connection).await;
    let of_tickets =
        |key: &&String| ["done", "data", "meta"].iter().any(|part| key.starts_with(&format!("{{teamai}}:{part}")));
    assert_eq!(left.iter().filter(of_tickets).count(), 0, "{left:?}");

    stop.cancel();
    worker.await.unwrap();
}
