//! Where templates are rendered: on threads apart, so that a stranger's program holds up
//! nobody's heartbeats, cancels or answers.

use std::sync::Arc;

use super::run::Run;
use crate::{
    base::apart::{END, Unfinished},
    catalog::{
        Step,
        template::{Scope, TemplateError},
    },
};

fn failure(unfinished: Unfinished) -> TemplateError {
    let message = match unfinished {
        Unfinished::Late => format!("the templates take more than {} s; loop over less", END.as_secs()),
        Unfinished::Broken => "the template broke the engine; write it in another way".to_owned(),
        Unfinished::Stopping => unfinished.to_string(),
    };
    TemplateError { node: String::new(), path: "config".to_owned(), message }
}

impl Run<'_> {
    /// Renders on the pool, or at once what only copies small values.
    ///
    /// # Errors
    /// As [`Run::apart`].
    pub(super) async fn render<T: Send + 'static>(
        &self,
        step: &Arc<Step>,
        scope: &Scope,
        how: impl FnOnce(&Step, &Scope) -> Result<T, TemplateError> + Send + 'static,
    ) -> Result<T, TemplateError> {
        if step.only_copies() && self.room.is_light() {
            return how(step, scope);
        }
        let (step, scope) = (Arc::clone(step), scope.clone());
        self.apart(move || how(&step, &scope)).await
    }

    /// # Errors
    /// Those of the work; it took too long; it panicked.
    pub(super) async fn apart<T: Send + 'static, E: From<TemplateError> + Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let ended = self.parts.apart.run(self.claimed.scope().agency_id(), work).await;
        ended.unwrap_or_else(|unfinished| Err(failure(unfinished).into()))
    }
}
