//! One node: whether it runs, over what, and its committed result.

use std::sync::{Arc, atomic::Ordering};

use super::{
    accept::{Outputs, Part},
    attempt::AttemptEnd,
    each::MAX_ITEMS,
    node_end::NodeEnd,
    run::Run,
    work::Work,
};
use crate::{
    catalog::{
        Step,
        template::{Items, Scope, TemplateError},
    },
    components::ComponentError,
};

impl Run<'_> {
    pub(super) async fn node(&self, index: usize, scope: &Scope, outputs: &Outputs) -> NodeEnd {
        let step = &self.runnable.plan.steps()[index];
        let begun = self.rest.begin();
        let end = match self.render(step, scope, Times::of).await {
            Ok(Times::None) => self.skip(step).await,
            Ok(Times::Once) => self.once(step, scope, outputs).await,
            Ok(Times::Each(items)) => self.each(step, scope, outputs, items, begun).await,
            Err(error) => self.refuse(step, ComponentError::from(error)).await,
        };
        self.left.fetch_sub(1, Ordering::AcqRel);
        match end {
            // The recipe goes on without it; templates find the failure under NODE.error.
            NodeEnd::Failed(error) if self.allows(step) => self.failure_as_output(&error),
            end => end,
        }
    }

    async fn once(&self, step: &Arc<Step>, scope: &Scope, outputs: &Outputs) -> NodeEnd {
        if let Some(end) = self.committed_end(step, 0, Part::Whole).await {
            return end;
        }
        match self.occurrence(&Work { step, scope, outputs, occurrence: 0 }, Part::Whole).await {
            AttemptEnd::Done { output: Some(output), record, writing } => {
                // A large one has its turn now, and does not wait for the finish.
                let written = match &writing.turn {
                    Some(_) => self.write(record).await.map(|()| None),
                    None => self.write_unless_last(record).await,
                };
                match written {
                    Ok(unwritten) => NodeEnd::Done { output, unwritten },
                    Err(error) => NodeEnd::Unwritten(error),
                }
            }
            AttemptEnd::Done { record, .. } => match self.write(record).await {
                Ok(()) => NodeEnd::NoRoom,
                Err(error) => NodeEnd::Unwritten(error),
            },
            AttemptEnd::Failed { error, record } => match self.write(record).await {
                Ok(()) => NodeEnd::Failed(error),
                Err(error) => NodeEnd::Unwritten(error),
            },
            AttemptEnd::Stopped => self.stopped(),
        }
    }

    async fn skip(&self, step: &Step) -> NodeEnd {
        self.skip_with(step, None).await
    }
}

/// How often a node is carried out.
enum Times {
    None,
    Once,
    Each(Items),
}

impl Times {
    fn of(step: &Step, scope: &Scope) -> Result<Self, TemplateError> {
        if !step.should_run(scope)? {
            return Ok(Self::None);
        }
        Ok(step.items(scope, MAX_ITEMS)?.map_or(Self::Once, Self::Each))
    }
}
