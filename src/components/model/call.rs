//! One call of a model: its key, its ledger line, its time limit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use secrecy::SecretString;

use super::{
    super::{ANSWER_LOST, CallKind, CallOutcome, CallStatus, ComponentError, Context, NewCall, Retry, outgoing},
    choice::Choice,
};
use crate::{
    base::Usd,
    providers::{Completion, ErrorKind, Heard, Patience, ProviderError, Request, estimate},
};

/// Answer tokens that are reserved for when the recipe sets no `max_tokens`.
const ASSUMED_ANSWER: u64 = 4_096;
/// A provider ends a call by itself; this catches one that does not.
const GRACE: Duration = Duration::from_secs(2);
/// A key is waited for no longer than this before a call; for longer waits the engine can let go of the task.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

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
/// `patient`: a key that its provider slowed down is waited for. Of the node's own time
/// the wait takes half at most: what is left is the call's.
pub async fn ask(
    context: &Context<'_>,
    choice: &Choice,
    request: &Request,
    patient: bool,
) -> Result<Result<Answered, Failure>, ComponentError> {
    let provider = choice.provider.name();
    let key = context.keys.key(provider, choice.takes_own_key).await?;
    if key.is_none() && choice.provider.needs_key() {
        return Ok(Err(no_key(choice)));
    }
    let half = context.node.timeout.map_or(Duration::MAX, |limit| limit.get() / 2);
    let patience = Patience { longest: half.min(LONGEST_WAIT), for_limits: patient };
    let admitted = tokio::select! {
        biased;
        () = context.cancel.cancelled() => return Err(outgoing::cancelled()),
        admitted = context.providers.admit(choice.provider.as_ref(), key.as_ref(), patience) => admitted,
    };
    // What does not leave has no line in the ledger.
    let permit = match admitted {
        Ok(permit) => permit,
        Err(error) => return Ok(Err(failure(choice, &error))),
    };
    let heard = Arc::new(Heard::default());
    let prompt_tokens = prompt_tokens(request);
    let call_no = context.meter.begin(new_call(choice, request, prompt_tokens, &heard)).await?;
    let started = Instant::now();
    let answer = tokio::select! {
        biased;
        () = context.cancel.cancelled() => None,
        answer = watched(choice, request, key.as_ref(), &heard) => Some(answer),
    };
    let outcome = outcome(answer.as_ref(), &heard, prompt_tokens, started.elapsed());
    let cost = context.meter.settle(call_no, outcome).await;
    let Some(answer) = answer else { return Err(outgoing::cancelled()) };
    permit.done(&answer);
    Ok(match answer {
        Ok(completion) => Ok(Answered { provider: provider.to_owned(), completion, cost }),
        Err(error) => Err(failure(choice, &error)),
    })
}

/// As long as the provider says something it may go on; the node's own limit comes before any other.
async fn watched(
    choice: &Choice,
    request: &Request,
    key: Option<&SecretString>,
    heard: &Heard,
) -> Result<Completion, ProviderError> {
    let mut answer = choice.provider.complete(request, key, heard);
    loop {
        let before = heard.pieces();
        match tokio::time::timeout(request.timeout + GRACE, &mut answer).await {
            Ok(answer) => return answer,
            Err(_) if heard.pieces() > before => {}
            Err(_) => return Err(overdue(choice.provider.name(), request.timeout)),
        }
    }
}

/// Everything that the model reads.
fn prompt_tokens(request: &Request) -> u64 {
    let of = |text: &str| estimate::tokens(text);
    let tools = |tool: &crate::providers::Tool| of(&tool.description) + of(&tool.schema.to_string());
    of(&request.prompt)
        + request.system.as_deref().map_or(0, of)
        + request.response_schema.as_ref().map_or(0, |schema| of(&schema.to_string()))
        + request.turns.iter().map(|turn| of(&turn.text())).sum::<u64>()
        + request.tools.iter().map(tools).sum::<u64>()
}

fn new_call(choice: &Choice, request: &Request, prompt_tokens: u64, heard: &Arc<Heard>) -> NewCall {
    NewCall {
        kind: CallKind::Llm,
        provider: Some(choice.provider.name().to_owned()),
        model: Some(choice.model.clone()),
        fingerprint: fingerprint(choice, request),
        estimate: Some((prompt_tokens, request.max_tokens.map_or(ASSUMED_ANSWER, u64::from))),
        heard: Some(Arc::clone(heard)),
    }
}

/// Everything that the answer depends on. Debug output quotes each text, so that
/// different requests cannot run together to equal ones.
fn fingerprint(choice: &Choice, request: &Request) -> String {
    let mut text = format!(
        "{choice} {:?} {:?} {:?} {:?} {:?}",
        request.system, request.prompt, request.temperature, request.max_tokens, request.response_schema
    );
    if !(request.turns.is_empty() && request.tools.is_empty()) {
        text.push_str(&format_args!(" {:?} {:?} {}", request.turns, request.tools, request.answer_now).to_string());
    }
    text
}

/// What goes into the ledger. No answer at all: the call was cut off by us. Of a
/// call that was cut off, what arrived until then is charged.
fn outcome(
    answer: Option<&Result<Completion, ProviderError>>,
    heard: &Heard,
    prompt_tokens: u64,
    elapsed: Duration,
) -> CallOutcome {
    match answer {
        None => CallOutcome::cut_off(CallStatus::Unknown, heard, prompt_tokens, elapsed),
        Some(Ok(completion)) => CallOutcome {
            metered: Some(completion.metered.clone()),
            request_id: completion.request_id.clone(),
            ..CallOutcome::without_usage(CallStatus::Success, elapsed)
        },
        Some(Err(error)) => {
            let cut = CallOutcome::cut_off(call_status(error.kind), heard, prompt_tokens, elapsed);
            CallOutcome {
                metered: error.metered.clone().or(cut.metered),
                request_id: error.request_id.clone().or(cut.request_id),
                ..cut
            }
        }
    }
}

fn call_status(kind: ErrorKind) -> CallStatus {
    match kind {
        ErrorKind::NotSent | ErrorKind::Rejected | ErrorKind::Retry { .. } | ErrorKind::Slowed { .. } => {
            CallStatus::Failed
        }
        ErrorKind::Timeout => CallStatus::Timeout,
        ErrorKind::Unknown => CallStatus::Unknown,
    }
}

fn failure(choice: &Choice, error: &ProviderError) -> Failure {
    let (code, retry) = match error.kind {
        ErrorKind::Rejected => ("provider_rejected", Retry::Never),
        ErrorKind::NotSent => ("provider_unavailable", Retry::May { after: None }),
        ErrorKind::Retry { after } if error.status == Some(429) => ("rate_limited", Retry::Slowed { after }),
        ErrorKind::Retry { after } => ("provider_unavailable", Retry::May { after }),
        ErrorKind::Slowed { after } => ("rate_limited", Retry::Slowed { after: Some(after) }),
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
    let message = format!("{provider} did not answer within {} s; raise config.timeout", timeout.as_secs_f64());
    ProviderError::new(ErrorKind::Timeout, message)
}
