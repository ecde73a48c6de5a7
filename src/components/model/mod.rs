//! Asking a model: what `LLMProcessor`, `Agent` and `QualityJudge` share.
//!
//! - [`choice`]: which models are asked, in which order
//! - [`call`]: one call: key, its turn, ledger, time limit
//! - [`schema`]: JSON out of an answer, checked against a schema

pub mod call;
pub mod choice;
pub mod schema;

use serde_json::{Value, json};

use self::{
    call::{Answered, Failure},
    choice::Choice,
    schema::Schema,
};
use super::{
    ComponentError, Context, Retry,
    settings::{Settings, wrong},
};
use crate::{
    base::{Usage, Usd},
    providers::{Request, Turn},
};

/// What several calls used and cost.
#[derive(Debug, Clone, Copy)]
pub struct Bill {
    pub usage: Usage,
    /// `None` once a call has no price.
    pub cost: Option<Usd>,
}

impl Default for Bill {
    fn default() -> Self {
        Self { usage: Usage::default(), cost: Some(Usd::ZERO) }
    }
}

impl Bill {
    pub fn add(&mut self, usage: Usage, cost: Option<Usd>) {
        self.usage += usage;
        self.cost = self.cost.zip(cost).map(|(sum, cost)| sum + cost);
    }

    /// The buckets and their sum.
    pub fn usage_json(&self) -> Value {
        let mut usage = serde_json::to_value(self.usage).unwrap_or_default();
        usage["total_tokens"] = json!(self.usage.total());
        usage
    }
}

/// An answer, and which of the choices gave it.
pub struct Reply {
    pub answered: Answered,
    pub nth: usize,
}

/// An answer that follows a schema, where one is set.
pub struct Checked {
    pub reply: Reply,
    pub json: Option<Value>,
    /// Of both calls, if the first answer had to be corrected.
    pub bill: Bill,
    pub corrected: bool,
}

/// What a config says about any question to a model.
pub fn question(settings: &Settings<'_>) -> Result<Request, ComponentError> {
    let max_tokens = settings.integer("max_tokens")?;
    Ok(Request {
        system: settings.prose("system_message").filter(|text| !text.trim().is_empty()),
        temperature: settings.number("temperature")?,
        max_tokens: max_tokens.and_then(|tokens| u32::try_from(tokens).ok()),
        timeout: settings.required("timeout", Settings::duration)?,
        ..Request::default()
    })
}

/// Asks one model after the other until one answers.
pub async fn ask(context: &Context<'_>, choices: &[Choice], request: &mut Request) -> Result<Reply, ComponentError> {
    let mut failures = Vec::new();
    for (nth, choice) in choices.iter().enumerate() {
        request.model.clone_from(&choice.model);
        // Another model can be asked at once; the last one's key is waited for.
        let patient = nth + 1 == choices.len();
        match call::ask(context, choice, request, patient).await? {
            Ok(answered) => return Ok(Reply { answered, nth }),
            Err(failure) => failures.push(failure),
        }
    }
    Err(all_failed(&failures))
}

/// Asks, and holds the answer against the schema. A model whose answer does not
/// follow it is shown why and asked once more.
pub async fn ask_checked(
    context: &Context<'_>,
    choices: &[Choice],
    request: &mut Request,
    schema: Option<&Schema>,
) -> Result<Checked, ComponentError> {
    let reply = ask(context, choices, request).await?;
    check(context, choices, request, schema, reply).await
}

/// The second half of [`ask_checked`], for an answer that is there.
pub async fn check(
    context: &Context<'_>,
    choices: &[Choice],
    request: &mut Request,
    schema: Option<&Schema>,
    reply: Reply,
) -> Result<Checked, ComponentError> {
    let mut bill = Bill::default();
    bill.add(reply.answered.completion.metered.usage, reply.answered.cost);
    let Some(schema) = schema else { return Ok(Checked { reply, json: None, bill, corrected: false }) };
    let completion = &reply.answered.completion;
    let misfit = match schema.read(context, &completion.content, completion.finish_reason.as_deref()).await {
        Ok(json) => return Ok(Checked { json: Some(json), reply, bill, corrected: false }),
        Err(misfit) if misfit.cut => return Err(misfit.into()),
        Err(misfit) => misfit,
    };
    request.turns.push(Turn::Model { content: completion.content.clone(), calls: Vec::new() });
    request.turns.push(Turn::User(misfit.correction()));
    request.answer_now = true;
    let first = reply.nth;
    let Reply { answered, nth } = ask(context, &choices[first..], request).await.map_err(counted)?;
    bill.add(answered.completion.metered.usage, answered.cost);
    let completion = &answered.completion;
    let json = schema.read(context, &completion.content, completion.finish_reason.as_deref()).await?;
    Ok(Checked { reply: Reply { answered, nth: first + nth }, json: Some(json), bill, corrected: true })
}

/// The node asks its first question again, and pays for it again: that is an attempt.
fn counted(error: ComponentError) -> ComponentError {
    match error.retry {
        Retry::Slowed { after } => error.retry(Retry::May { after }),
        _ => error,
    }
}

/// One error out of all that went wrong. It may be tried again if any of them may.
fn all_failed(failures: &[Failure]) -> ComponentError {
    let can_pass = |failure: &&Failure| matches!(failure.retry, Retry::May { .. } | Retry::Slowed { .. });
    let later: Vec<_> = failures.iter().filter(can_pass).collect();
    let Some(leading) = later.first().copied().or(failures.first()) else {
        return wrong("model", "does not name a model");
    };
    let message = match failures {
        [only] => only.message.clone(),
        several => {
            let each: Vec<_> =
                several.iter().map(|failure| format!("{}: {}", failure.model, failure.message)).collect();
            format!("none of the {} models answered. {}", several.len(), each.join("; "))
        }
    };
    ComponentError::new(leading.code, message).field(leading.field).retry(when(&later))
}

/// When to ask again, given the failures that can pass. If all of them were put off, it
/// was no failed attempt, and the first key that is free again will do.
fn when(later: &[&Failure]) -> Retry {
    let after = later.iter().map(|failure| match failure.retry {
        Retry::May { after } | Retry::Slowed { after } => after,
        Retry::Never | Retry::Stop => None,
    });
    match later {
        [] => Retry::Never,
        later if later.iter().all(|failure| matches!(failure.retry, Retry::Slowed { .. })) => {
            Retry::Slowed { after: after.min().flatten() }
        }
        _ => Retry::May { after: after.max().flatten() },
    }
}
