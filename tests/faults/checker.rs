//! What must be true after every run, whatever died in it. Rows and the provider's log alone.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::PgPool;

use super::ledger_check;
use crate::stack::eventually;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Findings {
    pub accepted: usize,
    /// Tasks by status.
    pub ended: BTreeMap<String, i64>,
    /// Accepted tasks that did not end.
    pub lost: usize,
    /// Calls, requests, steps or executions that are in the books twice.
    pub settled_twice: usize,
    pub unknown_lines: usize,
    /// Lines of calls whose request never reached the provider.
    pub never_arrived: usize,
    /// Lines of calls that found nobody to connect to.
    pub never_sent: usize,
    pub requests: usize,
    pub lines: usize,
    /// Each broken promise in a sentence; none in a good run.
    pub broken: Vec<String>,
}

/// `accepted`: the tasks that were answered 202. `requests`: the provider's log.
pub async fn check(root: &PgPool, accepted: &[String], requests: &[Value]) -> Findings {
    let mut findings = Findings { accepted: accepted.len(), requests: requests.len(), ..Findings::default() };
    tasks(root, accepted, &mut findings).await;
    steps(root, &mut findings).await;
    books(root, &mut findings).await;
    ledger_check::compare(root, requests, &mut findings).await;
    nothing_idle(root, &mut findings).await;
    findings
}

impl Findings {
    pub fn broken(&mut self, promise: String) {
        self.broken.push(promise);
    }

    fn none(&mut self, count: i64, what: &str) {
        if count > 0 {
            self.broken(format!("{count} {what}"));
        }
    }
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ended: Vec<_> = self.ended.iter().map(|(status, tasks)| format!("{tasks} {status}")).collect();
        writeln!(f, "| tasks accepted | {} ({}) |", self.accepted, ended.join(", "))?;
        writeln!(f, "| lost | {} |", self.lost)?;
        writeln!(f, "| settled twice | {} |", self.settled_twice)?;
        writeln!(f, "| requests that the provider saw | {} |", self.requests)?;
        writeln!(f, "| lines of calls in the ledger | {} |", self.lines)?;
        writeln!(f, "| of these `unknown` | {} |", self.unknown_lines)?;
        writeln!(f, "| lines of requests that never arrived | {} |", self.never_arrived)?;
        write!(f, "| lines of calls that could not connect | {} |", self.never_sent)
    }
}

async fn tasks(root: &PgPool, accepted: &[String], findings: &mut Findings) {
    let rows: Vec<(String, String)> =
        sqlx::query_as("select id::text, status from task_queue").fetch_all(root).await.unwrap();
    for (_, status) in &rows {
        *findings.ended.entry(status.clone()).or_default() += 1;
    }
    let statuses: HashMap<String, String> = rows.into_iter().collect();
    let mut open = BTreeMap::<&str, Vec<&str>>::new();
    for id in accepted {
        let status = statuses.get(id).map_or("gone", String::as_str);
        if !["completed", "failed", "cancelled", "dead"].contains(&status) {
            open.entry(status).or_default().push(id);
        }
    }
    findings.lost = open.values().map(Vec::len).sum();
    for (status, ids) in open {
        findings.broken(format!("{} accepted tasks are {status}, such as {}", ids.len(), ids[0]));
    }
    if !findings.ended.contains_key("completed") {
        findings.broken("not one task completed".to_owned());
    }
    let distinct = accepted.iter().collect::<HashSet<_>>().len();
    if distinct < accepted.len() {
        findings.broken(format!("{} tasks were given to more than one submission", accepted.len() - distinct));
    }
    let unasked =
        "select count(*) from (select from task_queue group by agency_id, inputs->>'n' having count(*) > 1) t";
    let twice = count(root, unasked).await;
    findings.none(twice, "submissions were made into more than one task");
}

async fn steps(root: &PgPool, findings: &mut Findings) {
    let twice = count(
        root,
        "select count(*) from (select from task_steps group by task_id, node_id, occurrence having count(*) > 1) s",
    )
    .await;
    findings.settled_twice += usize::try_from(twice).unwrap();
    findings.none(twice, "steps have more than one committed result");
    let missing = count(
        root,
        "select count(*) from task_queue t where t.status = 'completed'
            and t.steps_total <> (select count(distinct s.node_id) from task_steps s where s.task_id = t.id)",
    )
    .await;
    findings.none(missing, "completed tasks lack the result of a step");
}

/// Intents, lines, totals and the chain, by themselves.
async fn books(root: &PgPool, findings: &mut Findings) {
    let broken = [
        ("calls are still open, and their money reserved", "select count(*) from call_intents where state = 'open'"),
        (
            "calls have no line",
            "select count(*) from call_intents i where not exists (select from audit_logs l where
               (l.task_id, l.node_id, l.occurrence, l.call_no) = (i.task_id, i.node_id, i.occurrence, i.call_no))",
        ),
        (
            "lines tell of a call that was not announced",
            "select count(*) from audit_logs l where l.kind <> 'execution' and not exists (select from call_intents i
              where (l.task_id, l.node_id, l.occurrence, l.call_no) = (i.task_id, i.node_id, i.occurrence, i.call_no))",
        ),
        (
            "tasks ended without an execution line",
            "select count(*) from task_queue t where t.finished_at is not null and not exists
               (select from audit_logs l where l.task_id = t.id and l.kind = 'execution')",
        ),
        (
            "tasks have totals that are not the sums of their lines",
            "select count(*) from task_queue t where (t.tokens_used, t.cost_usd) <>
               (select coalesce(sum(l.tokens_used), 0), coalesce(sum(l.cost_usd), 0) from audit_logs l where l.task_id = t.id)",
        ),
        (
            "lines break the chain of their agency",
            "select count(*) from (select a.*, lag(a.hash, 1, '\\x') over w as before, row_number() over w as nth
                from audit_logs a window w as (partition by a.agency_id order by a.seq)) l
              where l.prev_hash <> l.before or l.seq <> l.nth
                 or l.hash <> (select app.audit_hash(a) from audit_logs a where a.id = l.id limit 1)",
        ),
        (
            "chains have a head that is not their last line",
            "select count(*) from ledger_heads h where (h.seq, h.hash) is distinct from
               (select (l.seq, l.hash) from audit_logs l where l.agency_id = h.agency_id order by l.seq desc limit 1)",
        ),
    ];
    for (what, sql) in broken {
        let broken = count(root, sql).await;
        findings.none(broken, what);
    }
    let twice = count(
        root,
        "select count(*) from (select from audit_logs group by task_id, node_id, occurrence, call_no having count(*) > 1) l",
    )
    .await;
    findings.settled_twice += usize::try_from(twice).unwrap();
    findings.none(twice, "calls or executions have more than one line");
}

/// A transaction that was left open would hold its locks. One of a session that died
/// without a word is ended by Postgres after 30 s.
async fn nothing_idle(root: &PgPool, findings: &mut Findings) {
    let idle = "select count(*) from pg_stat_activity where datname = current_database()
                   and state like 'idle in transaction%' and now() - state_change > interval '1 second'";
    let give_up = Instant::now() + Duration::from_secs(40);
    let mut left = count(root, idle).await;
    while left > 0 && Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(500)).await;
        left = count(root, idle).await;
    }
    findings.none(left, "connections are idle in a transaction");
}

async fn count(root: &PgPool, sql: &'static str) -> i64 {
    eventually("the checker is answered", async || sqlx::query_scalar(sql).fetch_one(root).await.ok()).await
}
