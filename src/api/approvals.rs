//! `/approvals`: questions of tasks that wait, and decisions.

use chrono::{DateTime, Utc};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Any,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Member, Problem, Result,
    http::{
        body::Body,
        page::{Listing, page},
        problem::FieldError,
        tags::Tag,
    },
    need,
};
use crate::tasks::approvals::{
    self, DecideError, Verdict,
    questions::{self, Filter},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum ApprovalStatus {
    Open,
    Approved,
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// The task ended before somebody decided.
    Closed,
}

impl ApprovalStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Closed => "closed",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum Decision {
    Approve,
    Reject,
}

#[derive(Debug, Object)]
struct Approval {
    id: Uuid,
    task_id: Uuid,
    team_id: Uuid,
    node_id: String,
    /// The item's index under a `for_each`, else 0.
    occurrence: i32,
    /// `approval`; or `lost_call`: whether to repeat a call whose answer was lost.
    kind: String,
    message: String,
    /// JSON Schema of the payload that an approval needs.
    form: Option<Any<Value>>,
    /// Roles, e-mail addresses or ids of people; empty for everybody who may run the task.
    approvers: Vec<String>,
    /// Whether the caller is one of them.
    can_decide: bool,
    /// `open`, `approved`, `rejected`, `expired` or `closed`.
    status: String,
    payload: Option<Any<Value>>,
    decided_by: Option<Uuid>,
    /// The API key that decided, if no person did.
    decided_by_key: Option<Uuid>,
    decided_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<(approvals::Approval, bool)> for Approval {
    fn from((approval, can_decide): (approvals::Approval, bool)) -> Self {
        Self {
            id: approval.id,
            task_id: approval.task_id,
            team_id: approval.team_id,
            node_id: approval.node_id,
            occurrence: approval.occurrence,
            kind: approval.kind,
            message: approval.message,
            form: approval.form.map(Any),
            approvers: approval.approvers,
            can_decide,
            status: approval.status,
            payload: approval.payload.map(Any),
            decided_by: approval.decided_by,
            decided_by_key: approval.decided_by_key,
            decided_at: approval.decided_at,
            created_at: approval.created_at,
            expires_at: approval.expires_at,
        }
    }
}

#[derive(Debug, Object)]
#[oai(deny_unknown_fields)]
struct DecisionBody {
    decision: Decision,
    /// What the form asks for; with a rejection a remark, such as `{"reason": "..."}`. At most 64 KiB.
    payload: Option<Any<Value>>,
}

#[derive(Clone)]
pub struct ApprovalsApi;

#[OpenApi(prefix_path = "/approvals", tag = "Tag::Tasks")]
impl ApprovalsApi {
    /// List what tasks ask of people, newest first.
    #[oai(path = "/", method = "get", operation_id = "list_approvals")]
    async fn list_approvals(
        &self,
        member: Member<need::ApprovalsRead>,
        status: Query<Option<ApprovalStatus>>,
        task_id: Query<Option<Uuid>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Json<Listing<Approval>>> {
        let filter = Filter { status: status.0.map(ApprovalStatus::as_str), task_id: task_id.0 };
        let (found, asker) = questions::list(member.scope(), &member.state.pool, &filter, page(limit, cursor)?).await?;
        let found = found.map(|approval| {
            let can_decide = asker.may_decide(&approval.approvers) && approval.status == "open";
            (approval, can_decide)
        });
        Ok(Json(Listing::of(found)))
    }

    /// Approve or reject. The task goes on at once; of two decisions the first counts.
    #[oai(path = "/:id", method = "post", operation_id = "decide_approval")]
    async fn decide_approval(
        &self,
        member: Member<need::ApprovalsWrite>,
        id: Path<Uuid>,
        body: Body<DecisionBody>,
    ) -> Result<Json<Approval>> {
        let verdict = match body.0.decision {
            Decision::Approve => Verdict::Approve,
            Decision::Reject => Verdict::Reject,
        };
        let payload = body.0.payload.map(|payload| payload.0);
        let decided =
            approvals::decide(member.scope(), (&member.state.pool, &member.state.apart), id.0, verdict, payload)
                .await?;
        Ok(Json((decided, false).into()))
    }
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Unknown => Self::not_found(),
            DecideError::NotApprover(_) => Self::forbidden("not_an_approver", format!("You cannot: {error}.")),
            DecideError::Decided(status) => {
                Self::conflict("already_decided", format!("The approval is {status} already."))
            }
            DecideError::Expired => {
                Self::conflict("approval_expired", "The time for this decision is over; see expires_at.")
            }
            DecideError::Payload(problems) => Self::validation(
                problems.into_iter().map(|problem| FieldError::new(problem.path, problem.message)).collect(),
            ),
            DecideError::Database(error) => error.into(),
        }
    }
}
