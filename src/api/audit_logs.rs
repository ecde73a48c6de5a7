//! `/audit-logs`: the ledger, one line for each call that left.

use chrono::{DateTime, Utc};
use poem::{IntoResponse, Response, http::HeaderValue, web::Accept};
use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi,
    param::Query,
    payload::{Json, Payload},
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Any, Type},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Member, Result,
    http::{
        page::{Listing, page},
        tags::Tag,
        time::Time,
    },
    need,
};
use crate::billing::ledger::{self, store};

#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum Kind {
    Llm,
    Http,
    Crawl,
    /// One for each finished task, with the recipe's own price.
    Execution,
}

#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum CallStatus {
    Success,
    Failed,
    Timeout,
    /// Sent, answer lost.
    Unknown,
}

#[derive(Debug, Object)]
struct AuditLine {
    id: Uuid,
    task_id: Uuid,
    /// Null on an execution line.
    node_id: Option<String>,
    occurrence: i32,
    call_no: i32,
    team_id: Uuid,
    agent_instance_id: Uuid,
    recipe_id: Uuid,
    kind: String,
    provider: Option<String>,
    model: Option<String>,
    status: String,
    tokens_used: i64,
    /// Disjoint buckets: `input`, `cache_read`, `cache_write_5m`, `cache_write_1h`, `output`, `reasoning`.
    usage: Option<Any<Value>>,
    /// What the provider charged, a decimal string with 10 places; null when there was no price.
    cost_usd: Option<String>,
    /// What the agency is billed, a decimal string with 10 places.
    billed_usd: String,
    price_id: Option<Uuid>,
    /// Whether the cost is the reservation, because the answer was lost.
    estimated: bool,
    /// `unpriced`, `usage_mismatch`.
    flags: Vec<String>,
    execution_time_ms: i64,
    /// The provider's own id of the request.
    request_id: Option<String>,
    timestamp: DateTime<Utc>,
    /// Number in the agency's chain, from 1.
    seq: i64,
    /// SHA-256 over the line and the hash before it, in hex.
    hash: String,
}

impl From<ledger::Line> for AuditLine {
    fn from(line: ledger::Line) -> Self {
        Self {
            id: line.id,
            task_id: line.task_id,
            node_id: Some(line.node_id).filter(|node| !node.is_empty()),
            occurrence: line.occurrence,
            call_no: line.call_no,
            team_id: line.team_id,
            agent_instance_id: line.agent_instance_id,
            recipe_id: line.recipe_id,
            kind: line.kind,
            provider: line.provider,
            model: line.model,
            status: line.status,
            tokens_used: line.tokens_used,
            usage: line.usage.map(Any),
            cost_usd: line.cost_usd.map(|cost| format!("{cost:.10}")),
            billed_usd: format!("{:.10}", line.billed_usd),
            price_id: line.price_id,
            estimated: line.estimated,
            flags: line.flags,
            execution_time_ms: line.execution_time_ms,
            request_id: line.request_id,
            timestamp: line.timestamp,
            seq: line.seq,
            hash: hex::encode(line.hash),
        }
    }
}

/// One page, in the form that was asked for.
enum Lines {
    Json(Json<Listing<AuditLine>>),
    /// The table, and the cursor of the next page.
    Csv(String, Option<String>),
}

impl IntoResponse for Lines {
    fn into_response(self) -> Response {
        let (table, next) = match self {
            Self::Json(listing) => return listing.into_response(),
            Self::Csv(table, next) => (table, next),
        };
        let mut response = Response::builder().content_type("text/csv").body(table);
        if let Some(next) = next.and_then(|cursor| HeaderValue::from_str(&cursor).ok()) {
            response.headers_mut().insert("x-next-cursor", next);
        }
        response
    }
}

/// Written out, as the framework's macro documents one form for each status.
impl ApiResponse for Lines {
    fn meta() -> MetaResponses {
        let content = |content_type, schema| MetaMediaType { content_type, schema };
        let next = MetaHeader {
            name: "X-Next-Cursor".to_owned(),
            description: Some("With text/csv: for `?cursor=`; absent at the end.".to_owned()),
            required: false,
            deprecated: false,
            schema: String::schema_ref(),
        };
        MetaResponses {
            responses: vec![MetaResponse {
                description: "One page, newest first, as JSON or as a table.",
                status: Some(200),
                status_range: None,
                content: vec![
                    content(Json::<Listing<AuditLine>>::CONTENT_TYPE, Listing::<AuditLine>::schema_ref()),
                    content("text/csv", String::schema_ref()),
                ],
                headers: vec![next],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        Listing::<AuditLine>::register(registry);
    }
}

#[derive(Clone)]
pub struct AuditLogsApi;

#[OpenApi(tag = "Tag::Ledger")]
impl AuditLogsApi {
    /// List calls, newest first; a member sees its team's. `Accept: text/csv` gives a table.
    #[oai(path = "/audit-logs", method = "get", operation_id = "list_audit_logs")]
    #[expect(clippy::too_many_arguments, reason = "each filter is a query parameter")]
    async fn list_audit_logs(
        &self,
        member: Member<need::AuditRead>,
        accept: Accept,
        task_id: Query<Option<Uuid>>,
        agent_instance_id: Query<Option<Uuid>>,
        team_id: Query<Option<Uuid>>,
        kind: Query<Option<Kind>>,
        status: Query<Option<CallStatus>>,
        /// At or after.
        from: Query<Option<Time>>,
        /// Before.
        to: Query<Option<Time>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u32>>,
        #[oai(validator(max_length = 64))] cursor: Query<Option<String>>,
    ) -> Result<Lines> {
        let scope = member.scope();
        let own_team = scope.team_id().map_or(Uuid::nil(), |team| team.0);
        let team_id = match team_id.0 {
            asked if scope.is_admin() => asked,
            // Another team's lines are not there for a member.
            Some(other) if other != own_team => Some(Uuid::nil()),
            _ => Some(own_team),
        };
        let filter = store::Filter {
            task_id: task_id.0,
            agent_instance_id: agent_instance_id.0,
            team_id,
            kind: kind.0.map(name),
            status: status.0.map(name),
            from: from.0.map(|time| time.0),
            to: to.0.map(|time| time.0),
        };
        let found = store::list(scope, &member.state.pool, &filter, page(limit, cursor)?).await?;
        let listing = Listing::<AuditLine>::of(found);
        if wants_csv(&accept) {
            return Ok(Lines::Csv(csv(&listing.items), listing.next_cursor));
        }
        Ok(Lines::Json(Json(listing)))
    }
}

fn name(value: impl poem_openapi::types::ToJSON) -> String {
    value.to_json().and_then(|json| json.as_str().map(str::to_owned)).unwrap_or_default()
}

fn wants_csv(accept: &Accept) -> bool {
    accept.0.first().is_some_and(|mime| mime.essence_str() == "text/csv")
}

const COLUMNS: &str = "timestamp,seq,task_id,node_id,occurrence,call_no,team_id,agent_instance_id,recipe_id,kind,provider,\
                       model,status,tokens_used,cost_usd,billed_usd,estimated,flags,execution_time_ms,request_id,hash";

fn csv(lines: &[AuditLine]) -> String {
    let mut table = format!("{COLUMNS}\r\n");
    for line in lines {
        let fields = [
            line.timestamp.to_rfc3339(),
            line.seq.to_string(),
            line.task_id.to_string(),
            line.node_id.clone().unwrap_or_default(),
            line.occurrence.to_string(),
            line.call_no.to_string(),
            line.team_id.to_string(),
            line.agent_instance_id.to_string(),
            line.recipe_id.to_string(),
            line.kind.clone(),
            line.provider.clone().unwrap_or_default(),
            line.model.clone().unwrap_or_default(),
            line.status.clone(),
            line.tokens_used.to_string(),
            line.cost_usd.clone().unwrap_or_default(),
            line.billed_usd.clone(),
            line.estimated.to_string(),
            line.flags.join(" "),
            line.execution_time_ms.to_string(),
            line.request_id.clone().unwrap_or_default(),
            line.hash.clone(),
        ];
        table.push_str(&fields.map(|field| cell(&field)).join(","));
        table.push_str("\r\n");
    }
    table
}

/// Quoted where it has to be. A text that a spreadsheet would run as a formula gets an apostrophe.
fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=1+1"), "'=1+1");
    }
}
