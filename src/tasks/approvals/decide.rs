//! Decisions of people: once each, by whoever is asked, and as the form wants them.

use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::{approval::Approval, questions};
use crate::{
    base::{Actor, TenantScope, apart::Apart, json_schema::BoundedSchema},
    catalog::Problem,
    db,
};

/// Problems that are told of one answer.
const MAX_PROBLEMS: usize = 20;
/// An answer as JSON.
const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Approve,
    Reject,
}

impl Verdict {
    fn status(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    #[error("there is no such approval")]
    Unknown,
    #[error("only {} may decide this", .0.join(", "))]
    NotApprover(Vec<String>),
    #[error("it is {0} already")]
    Decided(String),
    #[error("its time is over")]
    Expired,
    #[error("the payload does not fit the form")]
    Payload(Vec<Problem>),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Decides, once: of two who decide at the same time one is told that it is done.
///
/// # Errors
/// See [`DecideError`]; nothing is changed then.
pub async fn decide(
    scope: &TenantScope,
    (pool, apart): (&PgPool, &Apart),
    id: Uuid,
    verdict: Verdict,
    payload: Option<Value>,
) -> Result<Approval, DecideError> {
    let (found, asker) = questions::get(scope, pool, id).await?.ok_or(DecideError::Unknown)?;
    if !asker.may_decide(&found.approvers) {
        return Err(DecideError::NotApprover(found.approvers));
    }
    match found.status.as_str() {
        "open" => {}
        "expired" => return Err(DecideError::Expired),
        _ => return Err(DecideError::Decided(found.status)),
    }
    let work = {
        let (form, payload) = (found.form.clone(), payload.clone());
        move || check_payload(form.as_ref(), verdict, payload.as_ref())
    };
    let unchecked = |why| vec![Problem::new("payload", format!("cannot be checked: {why}; make it smaller"))];
    let checked = apart.run(scope.agency_id(), work).await.unwrap_or_else(|why| Err(unchecked(why)));
    checked.map_err(DecideError::Payload)?;
    let (user, key) = match scope.actor() {
        Actor::Person(user) => (Some(user.0), None),
        Actor::Key(key) => (None, Some(key.0)),
        Actor::Schedule(_) => return Err(DecideError::NotApprover(found.approvers)),
    };
    let decision = Decision { status: verdict.status(), payload: payload.as_ref(), user, key };
    let decided = write(scope, pool, &found, &decision).await?;
    let (now, _) = questions::get(scope, pool, id).await?.ok_or(DecideError::Unknown)?;
    match now.status.as_str() {
        _ if decided => Ok(now),
        "expired" => Err(DecideError::Expired),
        _ => Err(DecideError::Decided(now.status)),
    }
}

/// An approval's payload has to follow the form; with a rejection it is a remark.
fn check_payload(form: Option<&Value>, verdict: Verdict, payload: Option<&Value>) -> Result<(), Vec<Problem>> {
    let bytes = payload.map_or(0, |payload| payload.to_string().len());
    if bytes > MAX_PAYLOAD_BYTES {
        let message = format!("has {bytes} bytes as JSON; at most {MAX_PAYLOAD_BYTES} are accepted");
        return Err(vec![Problem::new("payload", message)]);
    }
    let Some(form) = form.filter(|_| verdict == Verdict::Approve) else { return Ok(()) };
    let Some(payload) = payload else {
        return Err(vec![Problem::new("payload", "is required: the approval's `form` says what it has to hold")]);
    };
    let validator = BoundedSchema::compile(form)
        .map_err(|error| vec![Problem::new("payload", format!("cannot be checked: the form {error}"))])?;
    let found = validator.problems(payload, MAX_PROBLEMS).map_err(|why| vec![Problem::new("payload", why)])?;
    let problems: Vec<Problem> =
        found.iter().map(|error| Problem::new(path(&error.instance_path().to_string()), error.to_string())).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// `/budget/0` as `payload.budget.0`.
fn path(pointer: &str) -> String {
    format!("payload{}", pointer.replace('/', "."))
}

/// What was decided, and by whom.
struct Decision<'a> {
    status: &'static str,
    payload: Option<&'a Value>,
    user: Option<Uuid>,
    key: Option<Uuid>,
}

/// Decides an open question in time, and brings its task the news. False: somebody was
/// faster, or its time is over.
///
/// # Errors
/// The database is unavailable.
async fn write(
    scope: &TenantScope,
    pool: &PgPool,
    approval: &Approval,
    decision: &Decision<'_>,
) -> Result<bool, sqlx::Error> {
    let mut tx = db::tenant(pool, scope.agency_id()).await?;
    let done = sqlx::query!(
        "update approvals set status = $2, payload = $3, decided_by = $4, decided_by_key = $5,
                              decided_at = clock_timestamp()
          where id = $1 and status = 'open' and expires_at > clock_timestamp()",
        approval.id,
        decision.status,
        decision.payload,
        decision.user,
        decision.key,
    )
    .execute(&mut *tx)
    .await?;
    if done.rows_affected() == 1 {
        let agency = scope.agency_id().0;
        sqlx::query!("insert into task_wakes (agency_id, task_id) values ($1, $2)", agency, approval.task_id)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;

    fn approval(form: Option<Value>) -> Approval {
        let now = DateTime::UNIX_EPOCH;
        Approval {
            id: Uuid::nil(),
            team_id: Uuid::nil(),
            task_id: Uuid::nil(),
            node_id: "a".into(),
            occurrence: 0,
            kind: "approval".into(),
            message: "Publish?".into(),
            form,
            approvers: Vec::new(),
            status: "open".into(),
            payload: None,
            decided_by: None,
            decided_by_key: None,
            decided_at: None,
            created_at: now,
            expires_at: now,
        }
    }

    #[test]
    fn an_answer_follows_the_form_and_a_rejection_needs_none() {
        let form = json!({"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}});
        let asked = approval(Some(form));
        let check = |verdict, payload: Option<Value>| check_payload(asked.form.as_ref(), verdict, payload.as_ref());
        assert!(check(Verdict::Approve, Some(json!({"title": "A"}))).is_ok());
        assert!(check(Verdict::Reject, None).is_ok());
        assert_eq!(check(Verdict::Approve, None).unwrap_err()[0].path, "payload");
        assert_eq!(check(Verdict::Approve, Some(json!({"title": 3}))).unwrap_err()[0].path, "payload.title");
        let long = json!({"reason": "x".repeat(MAX_PAYLOAD_BYTES)});
        assert!(check(Verdict::Reject, Some(long)).unwrap_err()[0].message.contains("at most 65536"));
        assert!(check_payload(approval(None).form.as_ref(), Verdict::Approve, Some(&json!("anything"))).is_ok());
    }
}
