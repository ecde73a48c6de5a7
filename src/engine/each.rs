//! A node that runs once for each entry of a list.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde_json::{Value, json};

use super::{
    accept::{Output, Outputs, Part},
    attempt::AttemptEnd,
    node_end::NodeEnd,
    record::Record,
    rest::Begun,
    room::Short,
    run::Run,
    work::Work,
};
use crate::{
    catalog::{
        Step,
        template::{Items, Kept, Scope},
    },
    components::ComponentError,
};

/// Entries of a `for_each` in work at once, unless the node says otherwise.
const MAX_PARALLEL: u32 = 4;
/// Entries that a `for_each` may have.
pub(super) const MAX_ITEMS: usize = 10_000;
/// Bytes that an entry holds beside its text, and its result's place.
const ITEM: usize = 2 * size_of::<Box<str>>() + size_of::<Kept>();

/// What the items of a `for_each` share.
#[derive(Clone, Copy)]
struct Loop<'w> {
    step: &'w Arc<Step>,
    scope: &'w Scope,
    outputs: &'w Outputs,
    /// Items without a result.
    left: &'w AtomicUsize,
    /// No item starts any more.
    over: &'w AtomicBool,
}

impl Run<'_> {
    /// Runs the node once for each item, a few at a time. The node's output is the list of theirs.
    pub(super) async fn each(
        &self,
        step: &Arc<Step>,
        scope: &Scope,
        outputs: &Outputs,
        items: Items,
        begun: Begun<'_>,
    ) -> NodeEnd {
        if items.count == 0 {
            return self.skip_with(step, Some(json!([]))).await;
        }
        if items.count > MAX_ITEMS {
            let message = format!("the list has {} entries and at most {MAX_ITEMS} are run", items.count);
            return self.refuse(step, ComponentError::new("too_many_items", message).field("for_each")).await;
        }
        let items = items.texts;
        let bytes = items.iter().map(|item| item.len() + ITEM).sum::<usize>();
        let mut held = match self.room.hold(bytes) {
            Ok(held) => held,
            Err(Short::Process) => return NodeEnd::NoRoom,
            Err(Short::Run) => return self.refuse(step, Short::Run.into()).await,
        };
        let node_id = step.node.id.as_str();
        let is_committed = |n: &usize| self.past.has(&(node_id.to_owned(), index(*n)));
        let left = AtomicUsize::new((0..items.len()).filter(|n| !is_committed(n)).count());
        let parallel = step.node.max_parallel.unwrap_or(MAX_PARALLEL).max(1) as usize;
        let mut results = vec![Kept::of(&Value::Null); items.len()];
        let mut failure = None;
        // After a failure no item starts; what runs may finish, and its result is kept.
        let over = AtomicBool::new(false);
        let mut no_room = false;
        let each = Loop { step, scope, outputs, left: &left, over: &over };
        let mut work = FuturesUnordered::new();
        let mut next = 0;
        // From here on its items are counted.
        drop(begun);
        loop {
            // Made when it is their turn: the work of an item holds more than the item.
            while work.len() < parallel
                && let Some(item) = items.get(next)
            {
                work.push(self.nth(each, next, item));
                next += 1;
            }
            let Some((n, end)) = work.next().await else { break };
            match end {
                NodeEnd::Done { output, .. } => {
                    results[n] = output.kept;
                    held.join(output.held);
                }
                NodeEnd::NoRoom => {
                    over.store(true, Ordering::Release);
                    no_room = true;
                }
                NodeEnd::Failed(error) => {
                    over.store(true, Ordering::Release);
                    let error = ComponentError { message: format!("item {n}: {}", error.message), ..error };
                    self.doom(step, &error);
                    failure.get_or_insert(error);
                }
                NodeEnd::Skipped { .. } => {}
                end => return end,
            }
        }
        drop(work);
        match failure {
            Some(error) => NodeEnd::Failed(error),
            None if no_room => NodeEnd::NoRoom,
            None => NodeEnd::Done { output: Output { kept: Kept::list(results), held }, unwritten: None },
        }
    }

    fn nth<'w>(&'w self, of: Loop<'w>, n: usize, item: &'w str) -> BoxFuture<'w, (usize, NodeEnd)> {
        async move {
            if of.over.load(Ordering::Acquire) {
                return (n, NodeEnd::Skipped { unwritten: None });
            }
            match self.item(of, n, item).await {
                NodeEnd::Failed(error) if self.allows(of.step) => (n, self.failure_as_output(&error)),
                end => (n, end),
            }
        }
        .boxed()
    }

    async fn item(&self, of: Loop<'_>, n: usize, item: &str) -> NodeEnd {
        if let Some(end) = self.committed_end(of.step, index(n), Part::Item).await {
            return end;
        }
        let _begun = self.rest.begin();
        let item = serde_json::from_str(item).unwrap_or_default();
        let scope = of.scope.with_item(&item, n);
        drop(item);
        let work = Work { step: of.step, scope: &scope, outputs: of.outputs, occurrence: index(n) };
        let end = self.occurrence(&work, Part::Item).await;
        let closes = of.left.fetch_sub(1, Ordering::AcqRel) == 1;
        let closing = |mut record: Record| {
            if let Some(step) = &mut record.step {
                step.closes_node = closes;
            }
            record
        };
        let (result, record, _writing) = match end {
            AttemptEnd::Done { output, record, writing } => {
                let done = |output| NodeEnd::Done { output, unwritten: None };
                (output.map_or(NodeEnd::NoRoom, done), record, Some(writing))
            }
            AttemptEnd::Failed { error, record } => (NodeEnd::Failed(error), record, None),
            AttemptEnd::Stopped => return self.stopped(),
        };
        match self.write(closing(record)).await {
            Ok(()) => result,
            Err(error) => NodeEnd::Unwritten(error),
        }
    }
}

fn index(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
