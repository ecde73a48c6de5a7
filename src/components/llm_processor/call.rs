//! One call of a model: its key, its ledger line, its time limit.

use std::time::{Duration, Instant};

use super::{
    super::{ANSWER_LOST, CallKind, CallOutcome, CallStatus, ComponentError, Context, NewCall, Retry, outgoing},
    choice::Choice,
    estimate,
};
use crate::{
    base::Usd,
    providers::{Completion, ErrorKind, ProviderError, Request},
};

/// Answer tokens that are reserved for when the recipe sets no `max_tokens`.
const ASSUMED_ANSWER: u64 = 4_096;
/// A provider ends a call by itself; this catches one that does not.
const GRACE: Duration = Duration::from_secs(2);

pub struct Answered {
    pub provider: String,
    pub completion: Completion,
    pub cost: Option<Usd>,
}

/// Why one model gave no answer.
pub struct Failure {
    pub model: String,
    pub code: &'static str,
    pub message: String,
    pub field: &'static str,
    pub retry: Retry,
}

/// Asks once. The outer error ends the run; the inner one lets the next model try.
pub async fn ask(
    context: &Context<'_>,
    choice: &Choice,
    request: &Request,
) -> Result<Result<Answered, Failure>, ComponentError> {
    let provider = choice.provider.name();
    let key = context.keys.key(provider, choice.takes_own_key).await?;
    if key.is_none() && choice.provider.needs_key() {
        return Ok(Err(no_key(choice)));
    }
    let call_no = context.meter.begin(new_call(choice, request)).await?;
    let started = Instant::now();
    let answer = tokio::select! {
        biased;
        () = context.cancel.cancelled() => None,
        answer = tokio::time::timeout(request.timeout + GRACE, choice.provider.complete(request, key.as_ref())) => {
            Some(match answer {
                Ok(answer) => answer,
                Err(_) => Err(overdue(provider, request.timeout)),
            })
        }
    };
    let outcome = outcome(answer.as_ref(), started.elapsed());
    let cost = context.meter.settle(call_no, outcome).await;
    match answer {
        None => Err(outgoing::cancelled()),
        Some(Ok(completion)) => Ok(Ok(Answered { provider: provider.to_owned(), completion, cost })),
        Some(Err(error)) => Ok(Err(failure(choice, &error))),
    }
}

fn new_call(choice: &Choice, request: &Request) -> NewCall {
    let prompt = estimate::tokens(&request.prompt) + request.system.as_deref().map_or(0, estimate::tokens);
    let schema = request.response_schema.as_ref().map_or(0, |schema| estimate::tokens(&schema.to_string()));
    NewCall {
        kind: CallKind::Llm,
        provider: Some(choice.provider.name().to_owned()),
        model: Some(choice.model.clone()),
        fingerprint: fingerprint(choice, request),
        estimate: Some((prompt + schema, request.max_tokens.map_or(ASSUMED_ANSWER, u64::from))),
    }
}

/// Everything that the answer depends on. Debug output quotes each text, so that
/// different requests cannot run together to equal ones.
fn fingerprint(choice: &Choice, request: &Request) -> String {
    format!(
        "{choice} {:?} {:?} {:?} {:?} {:?}",
        request.system, request.prompt, request.temperature, request.max_tokens, request.response_schema
    )
}

/// What goes into the ledger. No answer at all: the call was cut off by us.
fn outcome(answer: Option<&Result<Completion, ProviderError>>, elapsed: Duration) -> CallOutcome {
    match answer {
        None => outgoing::outcome(CallStatus::Unknown, elapsed),
        Some(Ok(completion)) => CallOutcome {
            status: CallStatus::Success,
            // No prompt is empty: a usage without tokens is none, and its cost an estimate.
            usage: (completion.usage.total() > 0).then_some(completion.usage),
            raw_usage: Some(completion.raw_usage.clone()).filter(|raw| !raw.is_null()),
            usage_mismatch: completion.usage_mismatch,
            request_id: completion.request_id.clone(),
            elapsed,
        },
        Some(Err(error)) => CallOutcome {
            usage: error.usage.as_ref().map(|(usage, _)| *usage),
            raw_usage: error.usage.as_ref().map(|(_, raw)| raw.clone()),
            request_id: error.request_id.clone(),
            ..outgoing::outcome(call_status(error.kind), elapsed)
        },
    }
}

fn call_status(kind: ErrorKind) -> CallStatus {
    match kind {
        ErrorKind::NotSent | ErrorKind::Rejected | ErrorKind::Retry { .. } => CallStatus::Failed,
        ErrorKind::Timeout => CallStatus::Timeout,
        ErrorKind::Unknown => CallStatus::Unknown,
    }
}

fn failure(choice: &Choice, error: &ProviderError) -> Failure {
    let (code, retry) = match error.kind {
        ErrorKind::Rejected => ("provider_rejected", Retry::Never),
        ErrorKind::NotSent => ("provider_unavailable", Retry::May { after: None }),
        ErrorKind::Retry { after } => ("provider_unavailable", Retry::May { after }),
        ErrorKind::Timeout => ("provider_timeout", Retry::May { after: None }),
        // The node's `on_unknown` decides what becomes of a lost answer, by this code.
        ErrorKind::Unknown => (ANSWER_LOST, Retry::May { after: None }),
    };
    let field = match error.status {
        Some(401 | 403) => "secrets.api_key",
        _ => "config.model",
    };
    Failure { model: choice.to_string(), code, message: error.message.clone(), field, retry }
}

fn no_key(choice: &Choice) -> Failure {
    let name = choice.provider.name();
    let message = format!(
        "there is no key for {name}; store it in the locker as {name}_api_key, for the team or the agency, or give the \
         node secrets.api_key"
    );
    Failure {
        model: choice.to_string(),
        code: "secret_missing",
        message,
        field: "secrets.api_key",
        retry: Retry::Never,
    }
}

fn overdue(provider: &str, timeout: Duration) -> ProviderError {
    ProviderError {
        kind: ErrorKind::Timeout,
        message: format!("{provider} did not answer within {} s; raise config.timeout", timeout.as_secs_f64()),
        status: None,
        request_id: None,
        usage: None,
    }
}
