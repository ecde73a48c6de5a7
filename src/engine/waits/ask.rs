//! A question to people: written once, waited for without a worker, answered once.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{
    super::{
        record::{LineWrite, QuestionWrite, Record},
        rest::Nap,
        run::Run,
        work::Work,
    },
    LOOK_EVERY, stop,
    store::{self, Decision},
    unread,
};
use crate::{base::ids::uuid_at, components::ComponentError, db};

/// What is asked.
pub struct Question {
    pub kind: &'static str,
    /// Answers to a later round count too.
    pub round: i32,
    pub message: String,
    pub form: Option<Value>,
    pub timeout: Duration,
    pub approvers: Vec<String>,
}

/// What came of it.
pub enum Answer {
    Approved(Decision),
    Rejected(Decision),
    Expired,
}

impl Run<'_> {
    /// Asks, or finds what was asked and answered before. `lines` are written first.
    pub(super) async fn ask(
        &self,
        work: &Work<'_>,
        question: Question,
        lines: Vec<LineWrite>,
    ) -> Result<Answer, ComponentError> {
        let key = store::Key {
            task: self.claimed.id,
            node: work.node_id(),
            occurrence: work.occurrence,
            kind: question.kind,
            round: question.round,
        };
        let record = Record { question: Some(self.question(work, question)), ..Record::default() };
        if !lines.is_empty() {
            self.write(Record { lines, ..Record::default() }).await.map_err(|error| stop(&error))?;
        }
        let mut unasked = Some(record);
        loop {
            let (scope, pool) = (self.claimed.scope(), &self.parts.pool);
            let nap = match db::bounded(db::ANSWER_WITHIN, store::question(&scope, pool, &key)).await {
                Ok(Some(found)) => match found.status.as_str() {
                    "approved" => return Ok(Answer::Approved(found.decision())),
                    "rejected" => return Ok(Answer::Rejected(found.decision())),
                    "open" if found.left > Duration::ZERO => Nap::News(Instant::now() + found.left),
                    "open" => match db::bounded(db::ANSWER_WITHIN, store::expire(&scope, pool, found.id)).await {
                        Ok(true) => return Ok(Answer::Expired),
                        // Somebody was faster.
                        Ok(false) => continue,
                        Err(error) => again(&error)?,
                    },
                    _ => return Ok(Answer::Expired),
                },
                Ok(None) => match unasked.take() {
                    Some(record) => {
                        self.write(record).await.map_err(|error| stop(&error))?;
                        continue;
                    }
                    // Written and not there: the task itself is gone.
                    None => return Err(stop(&super::super::RecordError::LeaseLost)),
                },
                Err(error) => again(&error)?,
            };
            self.rest.sleep(nap, LOOK_EVERY).await;
        }
    }

    fn question(&self, work: &Work<'_>, question: Question) -> QuestionWrite {
        let redactor = &self.secrets.redactor;
        QuestionWrite {
            id: uuid_at(self.parts.clock.now()),
            task_id: self.claimed.id,
            epoch: self.claimed.epoch,
            node_id: work.node_id().to_owned(),
            occurrence: work.occurrence,
            round: question.round,
            kind: question.kind.to_owned(),
            message: redactor.text(&question.message),
            form: question.form.map(|form| redactor.cleaned(form)),
            approvers: question.approvers,
            timeout_ms: i64::try_from(question.timeout.as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// The database is unavailable: a moment, in which the task is not let go of.
fn again(error: &sqlx::Error) -> Result<Nap, ComponentError> {
    unread(error)?;
    Ok(Nap::Until(Instant::now() + LOOK_EVERY))
}
