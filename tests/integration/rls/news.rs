//! News for waiting tasks: a row of one agency never moves another's task.

use sqlx::{AssertSqlSafe, PgPool};

use super::{Ids, act, count, open_every_grant, seed};

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

#[sqlx::test(migrations = "./migrations")]
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

#[sqlx::test(migrations = "./migrations")]
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
#[sqlx::test(migrations = "./migrations")]
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
