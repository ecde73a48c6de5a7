//! The step table and the ledger lines, as columns of text.

use rust_decimal::Decimal;
use serde_json::Value;

/// What the ledger says in all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub tokens: u64,
    pub cost: Decimal,
}

/// Node, status, attempts, milliseconds, tokens and cost of each step.
pub fn steps(steps: &[Value]) -> String {
    let mut rows = vec![header(&["node", "status", "attempts", "ms", "tokens", "cost (USD)"])];
    for step in steps {
        rows.push(vec![
            text(step, "node_id"),
            text(step, "status"),
            text(step, "attempts"),
            elapsed_ms(step).map_or_else(|| "-".to_owned(), |ms| ms.to_string()),
            text(step, "tokens_used"),
            text(step, "cost_usd"),
        ]);
    }
    columns(&rows)
}

/// Kind, provider, model, status, tokens, cost and milliseconds of each call, with the sum.
pub fn ledger(lines: &[Value]) -> (String, Totals) {
    let mut rows = vec![header(&["kind", "provider", "model", "status", "tokens", "cost (USD)", "ms"])];
    let mut totals = Totals::default();
    for line in lines {
        totals.tokens += line["tokens_used"].as_u64().unwrap_or(0);
        totals.cost += line["cost_usd"].as_str().and_then(|cost| cost.parse().ok()).unwrap_or(Decimal::ZERO);
        let row = ["kind", "provider", "model", "status", "tokens_used", "cost_usd", "execution_time_ms"];
        rows.push(row.iter().map(|name| text(line, name)).collect());
    }
    let total = ["total", "", "", "", &totals.tokens.to_string(), &totals.cost.to_string(), ""];
    rows.push(total.iter().map(ToString::to_string).collect());
    (columns(&rows), totals)
}

fn header(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn text(object: &Value, name: &str) -> String {
    match &object[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn elapsed_ms(step: &Value) -> Option<i64> {
    let time = |name: &str| chrono::DateTime::parse_from_rfc3339(step[name].as_str()?).ok();
    Some((time("finished_at")? - time("started_at")?).num_milliseconds())
}

/// Rows of equal length, each column as wide as its widest cell.
fn columns(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            format!("  {}", cells.join("  ").trim_end())
        })
        .chain([String::new()])
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_stand_in_columns() {
        let table = steps(&[json!({
            "node_id": "crawl", "status": "completed", "attempts": 1, "tokens_used": 0, "cost_usd": "0",
            "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:01.5Z"
        })]);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines[0], "  node   status     attempts  ms    tokens  cost (USD)");
        assert_eq!(lines[1], "  crawl  completed  1         1500  0       0");
    }

    #[test]
    fn the_ledger_is_summed_exactly() {
        let line = |cost: &str| json!({"kind": "llm", "status": "success", "tokens_used": 10, "cost_usd": cost});
        let (table, totals) = ledger(&[line("0.1"), line("0.2"), json!({"kind": "crawl", "cost_usd": null})]);
        assert_eq!(totals, Totals { tokens: 20, cost: "0.3".parse().unwrap() });
        assert!(table.lines().last().unwrap().contains("20      0.3"), "{table}");
    }
}
