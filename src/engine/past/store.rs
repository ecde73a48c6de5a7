//! Reads what earlier claims left, in one transaction.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::TryStreamExt;
use sqlx::{PgPool, Postgres, Transaction};

use super::{Checkpoint, Past, Place, Progress};
use crate::{
    base::{RunScope, TaskId, Usd},
    db::{self, JsonText},
    engine::{
        room::{Room, Short},
        run_ledger::Lent,
    },
    tasks::lease::Claimed,
};

/// Bytes that a checkpoint holds beside its output.
const ROW: usize = 256;

type Tx = Transaction<'static, Postgres>;

impl Past {
    /// # Errors
    /// The database is unavailable; or there is no room for what was committed.
    pub async fn read(
        scope: &RunScope,
        pool: &PgPool,
        claimed: &Claimed,
        room: &Arc<Room>,
    ) -> Result<Result<Self, Short>, sqlx::Error> {
        if claimed.epoch <= 1 {
            return Ok(Ok(Self::default()));
        }
        read(scope, pool, TaskId(claimed.id), room).await
    }
}

async fn read(
    run: &RunScope,
    pool: &PgPool,
    task: TaskId,
    room: &Arc<Room>,
) -> Result<Result<Past, Short>, sqlx::Error> {
    let mut tx = db::tenant(pool, run.agency_id()).await?;
    let (last_calls, unanswered) = calls(&mut tx, task).await?;
    let facts = sqlx::query!(
        r#"select coalesce(greatest(extract(epoch from clock_timestamp() - t.started_at), 0), 0)::float8 as "elapsed!",
                  t.budget_tokens, lent.tasks as "tasks!", lent.cost as "cost!", lent.tokens as "tokens!"
             from task_queue t
            cross join lateral (
              select count(*) as tasks, coalesce(sum(c.budget_usd), 0) as cost,
                     coalesce(sum(c.budget_tokens), 0)::bigint as tokens
                from task_queue c
               where c.parent_task_id = t.id and not exists (
                 select from task_steps s where (s.task_id, s.node_id, s.occurrence)
                                              = (t.id, c.parent_node_id, c.parent_occurrence))) lent
            where t.id = $1"#,
        task.0,
    )
    .fetch_one(&mut *tx)
    .await?;
    let committed = match committed(&mut tx, task, room).await? {
        Ok(committed) => Mutex::new(committed),
        Err(short) => return Ok(Err(short)),
    };
    let past = Past {
        committed,
        last_calls,
        lost_calls: unanswered,
        progress: progress(&mut tx, task).await?,
        lent: Lent { tasks: facts.tasks.unsigned_abs(), cost: Usd(facts.cost), tokens: facts.tokens.unsigned_abs() },
        lent_tokens: facts.budget_tokens.map(i64::unsigned_abs),
        elapsed: Duration::try_from_secs_f64(facts.elapsed).unwrap_or_default(),
    };
    tx.commit().await?;
    Ok(Ok(past))
}

/// Row by row, each with the room for it.
async fn committed(
    tx: &mut Tx,
    task: TaskId,
    room: &Arc<Room>,
) -> Result<Result<HashMap<Place, Checkpoint>, Short>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select node_id, occurrence, status, output as "output: JsonText", error from task_steps where task_id = $1"#,
        task.0,
    );
    let mut rows = rows.fetch(&mut **tx);
    let mut found = HashMap::new();
    while let Some(r) = rows.try_next().await? {
        match room.hold(ROW + r.output.as_ref().map_or(0, |text| text.as_str().len())) {
            Ok(held) => {
                let checkpoint = Checkpoint::new(r.status, r.output, r.error, held);
                found.insert((r.node_id, r.occurrence), checkpoint);
            }
            Err(short) => return Ok(Err(short)),
        }
    }
    Ok(Ok(found))
}

/// The highest call numbers used, and those of calls whose answer was lost.
async fn calls(tx: &mut Tx, task: TaskId) -> Result<(HashMap<Place, i32>, HashMap<Place, i32>), sqlx::Error> {
    let used = sqlx::query!(
        r#"select node_id, occurrence, max(call_no) as "call_no!" from call_intents where task_id = $1 group by 1, 2"#,
        task.0,
    )
    .fetch_all(&mut **tx)
    .await?;
    // The ledger knows of those too that the worker itself cut off when it was stopped.
    let lost = sqlx::query!(
        r#"select node_id, occurrence, max(call_no) as "call_no!" from audit_logs
            where task_id = $1 and status = 'unknown' group by 1, 2"#,
        task.0,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok((
        used.into_iter().map(|r| ((r.node_id, r.occurrence), r.call_no)).collect(),
        lost.into_iter().map(|r| ((r.node_id, r.occurrence), r.call_no)).collect(),
    ))
}

async fn progress(tx: &mut Tx, task: TaskId) -> Result<HashMap<Place, Progress>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select node_id, occurrence, attempts, slowed, tokens_used, cost_usd, started_at,
                  greatest(extract(epoch from resume_at - clock_timestamp()), 0)::float8 as "wait!"
             from node_progress where task_id = $1"#,
        task.0,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| {
            let progress = Progress {
                attempts: r.attempts.unsigned_abs(),
                slowed: r.slowed.unsigned_abs(),
                tokens: r.tokens_used.unsigned_abs(),
                cost: Usd(r.cost_usd),
                started_at: r.started_at,
                wait: Duration::try_from_secs_f64(r.wait).unwrap_or_default(),
            };
            ((r.node_id, r.occurrence), progress)
        })
        .collect())
}
