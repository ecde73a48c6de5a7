//! Whether an agency's ledger is as it was written: each line's hash covers its content
//! and the hash before it.

use serde::Serialize;
use uuid::Uuid;

use crate::base::AgencyId;

/// What the check of one agency's ledger came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chain {
    pub agency_id: AgencyId,
    pub lines: i64,
    /// In the order of the ledger, at most [`MAX_FAULTS`].
    pub faults: Vec<Fault>,
}

/// Faults that are told of one agency; one changed line is one of them, so that more
/// say nothing new.
pub const MAX_FAULTS: i64 = 100;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The line's number in its agency's ledger, from 1.
    pub seq: i64,
    /// `None` where lines are missing at the end.
    pub id: Option<Uuid>,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum FaultKind {
    /// The line's content is not what its hash was made of.
    Changed,
    /// Lines before this one are gone.
    MissingBefore,
    /// The line does not follow the one before it: that one was replaced.
    Unlinked,
    /// The ledger was longer, or ended otherwise.
    EndMissing,
}

impl FaultKind {
    /// For people.
    #[must_use]
    pub fn as_text(self) -> &'static str {
        match self {
            Self::Changed => "its content was changed",
            Self::MissingBefore => "lines before it are missing",
            Self::Unlinked => "it does not follow the line before it",
            Self::EndMissing => "the ledger ends before its last line, or with another one",
        }
    }
}
