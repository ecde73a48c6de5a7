//! Why a task was not taken, as the client is told.

use crate::{
    api::http::problem::{FieldError, Problem},
    tasks::submit::{RetryError, SubmitError},
};

/// Seconds until a full queue is worth another try.
const QUEUE_RETRY: u64 = 10;

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::OverMonthlyLimit { .. } => Self::payment_required("monthly_limit_reached", sentence(&detail)),
            SubmitError::QueueFull { .. } => Self::too_many_requests("queue_full", sentence(&detail), QUEUE_RETRY),
            SubmitError::KeyReused => Self::invalid("Idempotency-Key", detail).with_code("idempotency_key_reused"),
            SubmitError::Unavailable => {
                Self::unavailable("database_unavailable", "The database is unavailable; try again shortly.")
            }
            SubmitError::Database(error) => error.into(),
            SubmitError::Batch(errors) => batch(errors),
            error => Self::validation(fields("", error)),
        }
    }
}

/// 402 if that is all that is wrong, else 422 with every place.
fn batch(errors: Vec<(usize, SubmitError)>) -> Problem {
    if errors.iter().all(|(_, error)| matches!(error, SubmitError::OverMonthlyLimit { .. })) {
        return errors.into_iter().next().map_or_else(Problem::not_found, |(_, error)| error.into());
    }
    Problem::validation(
        errors.into_iter().flat_map(|(place, error)| fields(&format!("tasks[{place}]."), error)).collect(),
    )
}

/// `prefix` leads to the task in the request.
fn fields(prefix: &str, error: SubmitError) -> Vec<FieldError> {
    let detail = error.to_string();
    let at = |field: &str| vec![FieldError::new(format!("{prefix}{field}"), detail.clone())];
    match error {
        SubmitError::Inputs(problems) => problems
            .into_iter()
            .map(|problem| FieldError::new(format!("{prefix}{}", problem.path), problem.message))
            .collect(),
        SubmitError::VersionUnknown => at("version"),
        SubmitError::AgentUnknown => at("agent_instance_id"),
        SubmitError::TooFarAhead { .. } => at("run_at"),
        _ => at("recipe"),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

impl From<RetryError> for Problem {
    fn from(error: RetryError) -> Self {
        let detail = error.to_string();
        match error {
            RetryError::TaskUnknown => Self::not_found(),
            RetryError::NotFinished(_) => Self::conflict("not_finished", detail),
            RetryError::NothingToRetry => Self::conflict("nothing_to_retry", detail),
            RetryError::NodeUnknown(_) => Self::invalid("from_node", detail),
            RetryError::RecipeGone => Self::conflict("recipe_gone", detail),
            RetryError::AgentGone => Self::conflict("agent_inactive", detail),
            RetryError::Submit(error) => error.into(),
        }
    }
}
