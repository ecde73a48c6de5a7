//! The `Approval` node, and what becomes of a call whose answer was lost.

use serde_json::{Map, Value, json};

use super::{
    super::{record::LineWrite, run::Run, work::Work},
    ask::{Answer, Question},
    refused,
    store::Decision,
};
use crate::{
    catalog::{Step, components::QUESTION_TIMEOUT, control::Approval, model::OnUnknown, template::TemplateError},
    components::ComponentError,
};

impl Run<'_> {
    /// The output is the answer given, with who gave it and when.
    pub(in crate::engine) async fn approval(&self, work: &Work<'_>) -> Result<Value, ComponentError> {
        let config = self.render(work.step, work.scope, Step::render).await?;
        let read = self.apart(move || Ok::<_, TemplateError>(Approval::read(&config))).await?;
        let Approval { message, form, timeout, approvers } = read.map_err(refused)?;
        let question = Question { kind: "approval", round: 0, message, form, timeout, approvers };
        match self.ask(work, question, Vec::new()).await? {
            Answer::Approved(decision) => Ok(answer(decision)),
            Answer::Rejected(decision) => Err(rejected(&decision)),
            Answer::Expired => Err(expired()),
        }
    }

    /// Decides by the node's `on_unknown` whether it may call again. `lines` are those of
    /// the lost call, where they are not written yet.
    pub(in crate::engine) async fn after_lost_call(
        &self,
        work: &Work<'_>,
        call_no: i32,
        lines: impl FnOnce() -> Vec<LineWrite>,
    ) -> Result<(), ComponentError> {
        let lost = format!("the answer of call {call_no} of node {} was lost", work.node_id());
        match work.step.node.on_unknown {
            OnUnknown::Retry => Ok(()),
            OnUnknown::Fail => Err(unknown(format!(
                "{lost}, and on_unknown is fail: it may have been charged or have had its effect; see its ledger line, \
                 and run the task again if it has to be repeated"
            ))),
            OnUnknown::Ask => {
                let question = Question {
                    kind: "lost_call",
                    round: call_no,
                    message: format!("{lost}. It may have been charged or have had its effect. Call again?"),
                    form: None,
                    timeout: QUESTION_TIMEOUT,
                    approvers: Vec::new(),
                };
                match self.ask(work, question, lines()).await? {
                    Answer::Approved(_) => Ok(()),
                    Answer::Rejected(_) => Err(unknown(format!("{lost}, and it was decided not to call again"))),
                    Answer::Expired => Err(expired()),
                }
            }
        }
    }
}

fn unknown(message: String) -> ComponentError {
    ComponentError::new("call_unknown", message).field("on_unknown")
}

fn expired() -> ComponentError {
    ComponentError::new("approval_expired", "nobody decided in time: set config.timeout higher, or ask more people")
        .field("config.timeout")
}

fn rejected(decision: &Decision) -> ComponentError {
    let why = decision.payload.as_ref().and_then(|payload| payload.get("reason").or(payload.get("comment")));
    let why = why.and_then(Value::as_str).map_or_else(String::new, |why| format!(": {why}"));
    ComponentError::new("approval_rejected", format!("it was rejected{why}"))
}

/// Facts of the decision never hide a field of the form.
fn answer(decision: Decision) -> Value {
    let mut output = match decision.payload {
        Some(Value::Object(fields)) => fields,
        None | Some(Value::Null) => Map::new(),
        Some(other) => return other,
    };
    let facts = [
        ("decision", json!("approve")),
        ("decided_by", json!(decision.decided_by)),
        ("decided_at", json!(decision.decided_at)),
    ];
    for (name, fact) in facts {
        output.entry(name).or_insert(fact);
    }
    Value::Object(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_output_and_facts_do_not_hide_it() {
        let decision = |payload: Option<Value>| Decision { payload, decided_by: None, decided_at: None };
        let output = answer(decision(Some(json!({"title": "A", "decision": "mine"}))));
        assert_eq!((&output["title"], &output["decision"]), (&json!("A"), &json!("mine")));
        assert_eq!(answer(decision(Some(json!("yes")))), json!("yes"));
        assert_eq!(answer(decision(None))["decision"], "approve");
        assert_eq!(rejected(&decision(Some(json!({"reason": "too long"})))).message, "it was rejected: too long");
    }
}
