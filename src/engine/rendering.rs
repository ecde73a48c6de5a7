//! Where templates are rendered: on threads apart, so that a stranger's program holds up
//! nobody's heartbeats, cancels or answers.

use std::sync::Arc;

use super::run::Run;
use crate::{
    base::apart::{END, Unfinished},
    catalog::{
        Step,
        template::{Place, Scope, TemplateError},
    },
};

/// Names the setting that was being rendered.
fn failure(unfinished: Unfinished, place: &Place) -> TemplateError {
    let message = match unfinished {
        Unfinished::Late => format!("the templates take more than {} s; loop over fewer items", END.as_secs()),
        Unfinished::Broken => "the template broke the engine; write it in another way".to_owned(),
        Unfinished::Stopping => unfinished.to_string(),
    };
    TemplateError { node: String::new(), path: place.path().unwrap_or_else(|| "config".to_owned()), message }
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
        let place = Place::default();
        let inside = place.clone();
        let ended = self.parts.apart.run(self.claimed.scope().agency_id(), move || inside.within(work)).await;
        ended.unwrap_or_else(|unfinished| Err(failure(unfinished, &place).into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::catalog::template::{Budget, Compiled, Escape, Expr};

    /// Work that is late, or broke, says nothing itself: who waited for it names the setting.
    #[test]
    fn what_is_late_is_named_by_its_setting() {
        let (place, scope) = (Place::default(), Scope::new(&Map::new(), json!({})));
        assert_eq!(failure(Unfinished::Late, &place).path, "config");
        let render = |value: serde_json::Value, path: &'static str| {
            let compiled = Compiled::new(&value, Escape::None, path).unwrap();
            let inside = place.clone();
            std::thread::spawn(move || {
                inside.within(|| compiled.render(Escape::None, &scope_of(), path, &Budget::default()))
            })
            .join()
            .unwrap()
            .ok();
            [Unfinished::Late, Unfinished::Broken].map(|unfinished| failure(unfinished, &place).path)
        };
        assert_eq!(render(json!({"text": "a {{ 1 }}", "title": 1}), "config.body"), ["config.body.text"; 2]);
        assert_eq!(render(json!([1, {"x": "{{ 1 }}"}]), "config.list"), ["config.list[1].x"; 2]);
        assert_eq!(render(json!("{{ nobody }}"), "config.value"), ["config.value"; 2]);
        place.within(|| Expr::new("1", "when").unwrap().holds(&scope, "when")).unwrap();
        assert_eq!(failure(Unfinished::Late, &place).path, "when");
        Expr::new("1", "when").unwrap().value(&scope, "elsewhere").unwrap();
        assert_eq!(failure(Unfinished::Late, &place).path, "when");
    }

    fn scope_of() -> Scope {
        Scope::new(&Map::new(), json!({}))
    }
}
