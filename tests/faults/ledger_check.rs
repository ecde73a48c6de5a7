//! The provider's log against the ledger, request by request.
//!
//! A request and a line are one call where they share the provider's request id. A
//! call whose answer was lost has no id; its question tells which node of which task
//! asked, and that node must have a line of a lost call for each such request.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::checker::Findings;

#[derive(Debug, sqlx::FromRow)]
struct Line {
    task_id: String,
    node_id: String,
    status: String,
    request_id: Option<String>,
    usage: Option<Value>,
    /// The provider did not say, or its answer was lost.
    estimated: bool,
}

pub async fn compare(root: &PgPool, requests: &[Value], findings: &mut Findings) {
    let lines: Vec<Line> = sqlx::query_as(
        "select task_id::text, node_id, status, request_id, usage, estimated from audit_logs where kind = 'llm'",
    )
    .fetch_all(root)
    .await
    .unwrap();
    findings.lines = lines.len();
    findings.unknown_lines = lines.iter().filter(|line| line.status == "unknown").count();
    let asked: HashMap<&str, &Value> =
        requests.iter().map(|request| (request["request_id"].as_str().unwrap(), request)).collect();
    let told = by_request(&lines, &asked, findings);
    let mut lost = HashMap::<String, usize>::new();
    for line in lines.iter().filter(|line| line.request_id.is_none()) {
        match line.status.as_str() {
            "unknown" | "timeout" => *lost.entry(question(line)).or_default() += 1,
            "failed" => findings.never_sent += 1,
            status => findings.broken(format!("a line of {} is {status} and names no request", question_of(line))),
        }
    }
    for request in requests.iter().filter(|request| !told.contains(request["request_id"].as_str().unwrap())) {
        // Half a request was refused as it came; nothing was asked by it.
        let Some(question) = request["question"].as_str() else { continue };
        match lost.get_mut(question) {
            Some(lines) if *lines > 0 => *lines -= 1,
            _ => findings.broken(format!("the provider saw a request that no line tells of: {request}")),
        }
    }
    findings.never_arrived = lost.values().sum();
}

/// The requests that lines name. A line must tell what the provider counted.
fn by_request<'a>(lines: &'a [Line], asked: &HashMap<&str, &Value>, findings: &mut Findings) -> HashSet<&'a str> {
    let mut told = HashSet::new();
    for line in lines {
        let Some(id) = line.request_id.as_deref() else { continue };
        if !told.insert(id) {
            findings.settled_twice += 1;
            findings.broken(format!("the request {id} has more than one line"));
        }
        match asked.get(id) {
            None => findings.broken(format!("a line tells of the request {id}, which the provider never saw")),
            Some(request)
                if line.status == "success" && !line.estimated && line.usage.as_ref() != Some(&request["usage"]) =>
            {
                findings.broken(format!("the line of {id} counts {:?}, the provider {}", line.usage, request["usage"]));
            }
            Some(request) if request["question"] != question(line) => {
                findings.broken(format!("the line of {} names another's request: {request}", question_of(line)));
            }
            Some(_) => {}
        }
    }
    told
}

fn question_of(line: &Line) -> String {
    format!("{}/{}", line.task_id, line.node_id)
}

/// As the simulator marks it.
fn question(line: &Line) -> String {
    let hash = hex::encode(Sha256::digest(question_of(line).as_bytes()));
    format!("sha256:{}", &hash[..12])
}
