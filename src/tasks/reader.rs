//! Reading tasks within bounds: pages end early when they are large, and what is large is read by turns.

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    Step, Task,
    read::{self, Filter, FoundOutput, StepPlace},
};
use crate::{
    base::{AgencyId, Page, Paged, TaskId, agency_semaphores::AgencySemaphores},
    db::JsonText,
    tenancy::TenantScope,
};

/// Stored bytes of a page that are read without a place, at once with others'. As text they are
/// at most 1.5 MiB.
const LIGHT: i32 = 16 * 1024;
/// Bytes of JSON after which a page ends. One item is given whatever it has.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Large reads at once in a process. Each agency has one.
const LARGE_AT_ONCE: usize = 2;
/// How long a large read waits for its place.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("others read large outputs at this moment; try again")]
    Busy,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What people see of tasks; cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskReader {
    pool: PgPool,
    places: Arc<Semaphore>,
    turns: Arc<AgencySemaphores>,
}

/// A place, and the agency's turn.
struct Turn {
    _of_agency: OwnedSemaphorePermit,
    _of_process: OwnedSemaphorePermit,
}

impl TaskReader {
    /// Of a pool under row-level security.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        let places = Arc::new(Semaphore::new(LARGE_AT_ONCE));
        Self { pool, places, turns: Arc::new(AgencySemaphores::new(1)) }
    }

    /// Newest first. A page of large tasks has fewer than it may.
    ///
    /// # Errors
    /// The database is unavailable; others read large tasks.
    pub async fn list(&self, scope: &TenantScope, filter: &Filter, page: Page) -> Result<Paged<Task>, ReadError> {
        let rows = read::list(scope, &self.pool, filter, page, LIGHT.into()).await?;
        let _turn = self.turn_for(scope, &rows).await?;
        let mut page = Filling::of(page.limit);
        for row in rows {
            if page.is_full() {
                break;
            }
            let whole = if row.values_left_out {
                read::get(scope, &self.pool, TaskId(row.id), i64::MAX).await?
            } else {
                Some(row)
            };
            page.add(whole);
        }
        let next = page.last_of_more().map(|task| task.id);
        Ok(Paged { items: page.items, next })
    }

    /// # Errors
    /// The database is unavailable; others read large tasks.
    pub async fn get(&self, scope: &TenantScope, id: TaskId) -> Result<Option<Task>, ReadError> {
        let found = read::get(scope, &self.pool, id, LIGHT.into()).await?;
        if !found.as_ref().is_some_and(Values::left_out) {
            return Ok(found);
        }
        let _turn = self.turn(scope.agency_id()).await?;
        Ok(read::get(scope, &self.pool, id, i64::MAX).await?)
    }

    /// The steps of a task in the order in which they were finished, after a place, and the
    /// place that the next page follows; `None` if there is no such task.
    ///
    /// # Errors
    /// The database is unavailable; others read large outputs.
    pub async fn steps(
        &self,
        scope: &TenantScope,
        id: TaskId,
        after: Option<&StepPlace>,
        limit: u32,
    ) -> Result<Option<(Vec<Step>, Option<StepPlace>)>, ReadError> {
        let bounds = (i64::from(limit) + 1, LIGHT.into());
        let Some(rows) = read::steps(scope, &self.pool, id, after, bounds).await? else { return Ok(None) };
        let _turn = self.turn_for(scope, &rows).await?;
        let mut page = Filling::of(limit);
        for mut row in rows {
            if page.is_full() {
                break;
            }
            if row.output_left_out {
                row.output = read::step_output(scope, &self.pool, id, &row).await?;
                row.output_left_out = false;
            }
            page.add(Some(row));
        }
        let next = page.last_of_more().map(|step| StepPlace {
            finished_at: step.finished_at,
            node_id: step.node_id.clone(),
            occurrence: step.occurrence,
        });
        Ok(Some((page.items, next)))
    }

    /// A task's status and its output as a file, if it has one; `None` if there is no such task.
    ///
    /// # Errors
    /// The database is unavailable; others read large outputs.
    pub async fn output(&self, scope: &TenantScope, id: TaskId) -> Result<Option<FoundOutput>, ReadError> {
        let found = read::output(scope, &self.pool, id, LIGHT).await?;
        if !found.as_ref().is_some_and(|found| found.left_out) {
            return Ok(found);
        }
        let _turn = self.turn(scope.agency_id()).await?;
        Ok(read::output(scope, &self.pool, id, i32::MAX).await?)
    }

    /// The agency's turn, if one of the rows needs it.
    async fn turn_for<T: Values>(&self, scope: &TenantScope, rows: &[T]) -> Result<Option<Turn>, ReadError> {
        let needed = rows.iter().any(Values::left_out);
        if needed { self.turn(scope.agency_id()).await.map(Some) } else { Ok(None) }
    }

    async fn turn(&self, agency: AgencyId) -> Result<Turn, ReadError> {
        let semaphore = self.turns.semaphore_of(agency);
        let both = async {
            let of_agency = semaphore.acquire_owned().await.ok()?;
            let of_process = Arc::clone(&self.places).acquire_owned().await.ok()?;
            Some(Turn { _of_agency: of_agency, _of_process: of_process })
        };
        timeout(PATIENCE, both).await.ok().flatten().ok_or(ReadError::Busy)
    }
}

/// A page that is filled with rows, of which there is one more than it may have.
struct Filling<T> {
    limit: usize,
    bytes: usize,
    items: Vec<T>,
    /// Whether there was a row after it was full.
    more: bool,
}

impl<T: Values> Filling<T> {
    fn of(limit: u32) -> Self {
        Self { limit: limit as usize, bytes: 0, items: Vec::new(), more: false }
    }

    /// Asked with a row in hand.
    fn is_full(&mut self) -> bool {
        self.more = self.items.len() >= self.limit || self.bytes >= PAGE_BYTES;
        self.more
    }

    /// A row that is gone meanwhile is passed over.
    fn add(&mut self, row: Option<T>) {
        self.bytes += row.as_ref().map_or(0, Values::bytes);
        self.items.extend(row);
    }

    /// What the next page follows, if there is one.
    fn last_of_more(&self) -> Option<&T> {
        self.items.last().filter(|_| self.more)
    }
}

/// What has values that may be large.
trait Values {
    /// Whether they were not read.
    fn left_out(&self) -> bool;
    /// Of JSON.
    fn bytes(&self) -> usize;
}

fn length(value: Option<&JsonText>) -> usize {
    value.map_or(0, |value| value.as_str().len())
}

impl Values for Task {
    fn left_out(&self) -> bool {
        self.values_left_out
    }

    fn bytes(&self) -> usize {
        length(Some(&self.inputs)) + length(self.output.as_ref())
    }
}

impl Values for Step {
    fn left_out(&self) -> bool {
        self.output_left_out
    }

    fn bytes(&self) -> usize {
        length(self.output.as_ref())
    }
}
