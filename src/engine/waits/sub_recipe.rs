//! The `SubRecipe` node: one task for it, whatever is killed, and that task's output.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    super::{
        codes,
        record::{ChildWrite, Record},
        rest::Nap,
        run::Run,
        run_ledger::Loan,
        work::{Tally, Work},
    },
    LOOK_EVERY, refused, stop, store, unread,
};
use crate::{
    base::{TaskId, Usd, weight},
    catalog::{self, Published, RecipeRef, Step, control::SubRecipe, inputs},
    components::ComponentError,
    db,
    tasks::TaskStatus,
};

/// Recipes within recipes, the outermost not counted.
const MAX_DEPTH: usize = 5;
/// A task that waits for another looks after it this often, should its end not be told.
const LOOK_AFTER: Duration = Duration::from_hours(1);

impl Run<'_> {
    pub(in crate::engine) async fn sub_recipe(
        &self,
        work: &Work<'_>,
        tally: &mut Tally,
    ) -> Result<Value, ComponentError> {
        loop {
            let returned = self.ledger.returned();
            let nap = match self.child(work).await {
                Ok(Some(child)) if child.status.is_terminal() => {
                    let (tokens, cost) = (child.tokens_used.unsigned_abs(), Usd(child.cost_usd));
                    self.ledger.take_back(child.loan, tokens, cost);
                    tally.add(tokens, cost);
                    return outcome(child);
                }
                Ok(None) if self.start_child(work).await? => continue,
                Ok(_) => Nap::News(Instant::now() + LOOK_AFTER),
                Err(error) => {
                    unread(&error)?;
                    Nap::Until(Instant::now() + LOOK_EVERY)
                }
            };
            tokio::select! {
                () = self.rest.sleep(nap, LOOK_EVERY) => {}
                () = returned => {}
            }
        }
    }

    async fn child(&self, work: &Work<'_>) -> Result<Option<store::Child>, sqlx::Error> {
        let (scope, pool) = (self.claimed.scope(), &self.parts.pool);
        db::bounded(db::ANSWER_WITHIN, store::child(&scope, pool, self.claimed.id, work.node_id(), work.occurrence))
            .await
    }

    /// Starts the task, fenced by this claim; one that was started before stays the only
    /// one. False: other tasks were lent all that is left, and one of them has to end first.
    async fn start_child(&self, work: &Work<'_>) -> Result<bool, ComponentError> {
        let config = self.render(work.step, work.scope, Step::render).await?;
        let _held = self.room.hold(config.values().map(weight::of).sum())?;
        let wanted = SubRecipe::read(&config).map_err(refused)?;
        let published = self.wanted(&wanted).await?;
        self.refuse_cycle(&published).await?;
        let specs = &published.recipe.inputs;
        let inputs = inputs::check(specs, Value::Object(wanted.inputs)).map_err(|problems| {
            let first = problems.into_iter().next();
            let (path, message) = first.map(|p| (p.path, p.message)).unwrap_or_default();
            ComponentError::new("invalid_config", format!("config.{path} {message}")).field(format!("config.{path}"))
        })?;
        let own = &published.recipe.budget;
        let own = Loan { cost: own.max_cost_usd.map(|limit| Usd(limit.get())), tokens: own.max_tokens };
        let Some(loan) = self.ledger.lend(own)? else { return Ok(false) };
        let child = ChildWrite {
            id: TaskId::at(self.parts.clock.now()).0,
            task_id: self.claimed.id,
            epoch: self.claimed.epoch,
            node_id: work.node_id().to_owned(),
            occurrence: work.occurrence,
            recipe_id: published.id.0,
            recipe_slug: published.slug.clone(),
            recipe_version: published.version.clone(),
            inputs: Value::Object(inputs),
            budget_usd: loan.cost.map(|cost| cost.0),
            budget_tokens: loan.tokens.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX)),
            steps_total: i32::try_from(published.recipe.workflow.nodes.len()).unwrap_or(i32::MAX),
        };
        let record = Record { child: Some(child), ..Record::default() };
        self.write(record).await.map_err(|error| stop(&error))?;
        Ok(true)
    }

    async fn wanted(&self, wanted: &SubRecipe) -> Result<Published, ComponentError> {
        let unknown = || {
            let version = wanted.version.as_ref().map_or_else(String::new, |version| format!(" in version {version}"));
            let message = format!(
                "config.recipe `{}`{version} is not published; GET /recipes lists those there are",
                wanted.recipe
            );
            ComponentError::new("recipe_unknown", message).field("config.recipe")
        };
        let named = RecipeRef::parse(&wanted.recipe).ok_or_else(unknown)?;
        let (scope, version) = (self.claimed.scope(), wanted.version.as_deref());
        let found =
            db::bounded(db::ANSWER_WITHIN, catalog::resolve_in_run(&scope, &self.parts.pool, &named, version)).await;
        found.map_err(|error| ended(&error))?.ok_or_else(unknown)
    }

    /// A recipe that runs within itself would never end.
    async fn refuse_cycle(&self, published: &Published) -> Result<(), ComponentError> {
        let scope = self.claimed.scope();
        let above = db::bounded(db::ANSWER_WITHIN, store::above(&scope, &self.parts.pool, self.claimed.id)).await;
        let above = above.map_err(|error| ended(&error))?;
        if above.contains(&published.slug) {
            let way = above.iter().rev().map(String::as_str).chain([published.slug.as_str()]).collect::<Vec<_>>();
            let message = format!("the recipe would run within itself: {}", way.join(" starts "));
            return Err(ComponentError::new("sub_recipe_cycle", message).field("config.recipe"));
        }
        if above.len() > MAX_DEPTH {
            let message = format!("at most {MAX_DEPTH} recipes may run within one another");
            return Err(ComponentError::new("sub_recipe_too_deep", message).field("config.recipe"));
        }
        Ok(())
    }
}

/// A run that cannot read is over on this worker; nothing was started.
fn ended(error: &sqlx::Error) -> ComponentError {
    ComponentError::new("run_stopped", error.to_string()).retry(crate::components::Retry::Stop)
}

/// The task's output, or its error as the node's.
fn outcome(child: store::Child) -> Result<Value, ComponentError> {
    let text = |key: &str| child.error.as_ref().and_then(|e| e.get(key)).and_then(Value::as_str);
    match child.status {
        TaskStatus::Completed => Ok(child.output.unwrap_or_default()),
        TaskStatus::Cancelled => {
            let message = format!("the task {} of the sub-recipe {} was cancelled", child.id, child.recipe);
            Err(ComponentError::new("sub_recipe_cancelled", message))
        }
        _ => {
            let code = text("code").map_or("sub_recipe_failed", codes::known);
            let at = text("node_id").map_or_else(String::new, |node| format!(" at {node}"));
            let message = format!(
                "the task {} of the sub-recipe {} failed{at}: {}",
                child.id,
                child.recipe,
                text("message").unwrap_or("it gives no details")
            );
            Err(ComponentError::new(code, message))
        }
    }
}
