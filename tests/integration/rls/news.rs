//! What has no reference: a row of one agency neither moves another's task nor stands in its webhooks' way.

use sqlx::{AssertSqlSafe, PgPool, Row};
use uuid::Uuid;

use super::{Ids, act, count, open_every_grant, run, seed};

async fn wait(root: &PgPool, of: &Ids) {
    let waits = of.fill("update task_queue set status = 'waiting', waited = true, wake_at = null where id = {task}");
    sqlx::query(AssertSqlSafe(waits)).execute(root).await.unwrap();
    sqlx::query("delete from task_wakes").execute(root).await.unwrap();
}

async fn state(root: &PgPool, of: &Ids) -> (String, bool) {
    let query = of.fill("select status, cancel_requested_at is not null from task_queue where id = {task}");
    sqlx::query_as(AssertSqlSafe(query)).fetch_one(root).await.unwrap()
}

async fn look(root: &PgPool) {
    act(root, "teamai_worker", None, "select app.wake_waiting(10)").await.unwrap();
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_row_of_one_agency_neither_wakes_nor_cancels_anothers_task(root: PgPool) {
    open_every_grant(&root).await;
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    for of in [&own, &theirs] {
        wait(&root, of).await;
    }
    let bring = |to: &Ids, cancel: bool| {
        let task = to.fill("{task}");
        own.fill(&format!("insert into task_wakes (agency_id, task_id, cancel) values ({{agency}}, {task}, {cancel})"))
    };
    for cancel in [false, true] {
        assert_eq!(act(&root, "teamai_api", Some(own.agency()), &bring(&theirs, cancel)).await, Ok(1));
        look(&root).await;
        assert_eq!(state(&root, &theirs).await, ("waiting".to_owned(), false), "cancel: {cancel}");
    }
    assert_eq!(
        count(&root, "postgres", None, "select count(*) from task_wakes").await,
        0,
        "what means nothing is kept"
    );

    assert_eq!(act(&root, "teamai_api", Some(own.agency()), &bring(&own, false)).await, Ok(1));
    look(&root).await;
    assert_eq!(state(&root, &own).await, ("queued".to_owned(), false));
    assert_eq!(act(&root, "teamai_api", Some(own.agency()), &bring(&own, true)).await, Ok(1));
    look(&root).await;
    assert_eq!(state(&root, &own).await, ("queued".to_owned(), true));
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn the_api_brings_news_and_no_cancellation(root: PgPool) {
    let own = seed(&root).await;
    for (columns, values, done) in [
        ("agency_id, task_id", "{agency}, {task}", Ok(1)),
        ("agency_id, task_id, cancel", "{agency}, {task}, true", Err("42501".to_owned())),
    ] {
        let news = own.fill(&format!("insert into task_wakes ({columns}) values ({values})"));
        assert_eq!(act(&root, "teamai_api", Some(own.agency()), &news).await, done, "{columns}");
    }
}

/// A task whose parent is another agency's, as no function writes it, outlives that one.
#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_task_that_ends_stops_and_tells_its_own_agencys_alone(root: PgPool) {
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    for of in [&own, &theirs] {
        wait(&root, of).await;
    }
    let child = format!(
        "update task_queue set parent_task_id = {}, parent_node_id = 'n', parent_occurrence = 0 where id = {}",
        own.fill("{task}"),
        theirs.fill("{task}"),
    );
    sqlx::query(AssertSqlSafe(child)).execute(&root).await.unwrap();
    let over = own.fill("update task_queue set status = 'failed', finished_at = now() where id = {task}");
    sqlx::query(AssertSqlSafe(over)).execute(&root).await.unwrap();
    assert_eq!(count(&root, "postgres", None, "select count(*) from task_wakes").await, 0, "the parent's end");
    let over = theirs.fill("update task_queue set status = 'failed', finished_at = now() where id = {task}");
    sqlx::query(AssertSqlSafe(over)).execute(&root).await.unwrap();
    look(&root).await;
    assert_eq!(state(&root, &own).await, ("failed".to_owned(), false), "the child's end");
}

#[sqlx::test(migrator = "teamai::db::FRESH_SCHEMA")]
async fn a_delivery_to_another_agencys_webhook_is_dropped_and_in_nobodys_way(root: PgPool) {
    let (own, theirs) = (seed(&root).await, seed(&root).await);
    let bring = |event: i64, at: &str| {
        let webhook = theirs.fill("{webhook}");
        own.fill(&format!(
            "insert into webhook_deliveries (id, agency_id, webhook_id, event_seq, type, data, occurred_at, next_attempt_at)
             values (gen_random_uuid(), {{agency}}, {webhook}, {event}, 'task.queued', '{{}}', now(), {at})"
        ))
    };
    // The place of the event that they have is not taken, and these would all come first.
    open_every_grant(&root).await;
    for event in 0..10 {
        assert_eq!(act(&root, "teamai_api", Some(own.agency()), &bring(event, "'2020-01-01'")).await, Ok(1), "{event}");
    }
    let claim = "select agency_id from app.claim_deliveries(100, 5, '{}', 60)";
    let mut claimed = Vec::new();
    for _ in 0..3 {
        let rows = run(&root, "teamai_worker", claim.to_owned()).await;
        claimed.extend(rows.iter().map(|row| row.get::<Uuid, _>(0)));
    }
    claimed.sort();
    let mut expected = [own.agency(), theirs.agency()];
    expected.sort();
    assert_eq!(claimed, expected, "each agency's own, once");
    let left = format!("select count(*) from webhook_deliveries where webhook_id = {}", theirs.fill("{webhook}"));
    assert_eq!(count(&root, "postgres", None, &left).await, 1);

    // Nor does a webhook that is switched off say what became of another's rows, or keep them.
    let off = theirs.fill("update webhooks set enabled = false where id = {webhook}");
    sqlx::query(AssertSqlSafe(off)).execute(&root).await.unwrap();
    assert_eq!(act(&root, "teamai_api", Some(own.agency()), &bring(20, "'2020-01-01'")).await, Ok(1));
    run(&root, "teamai_worker", claim.to_owned()).await;
    assert_eq!(count(&root, "postgres", None, &left).await, 1, "dropped");
}
