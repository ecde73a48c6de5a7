//! Values to the blocks of a report.

use serde_json::{Map, Value};

const MAX_ROWS: usize = 500;
const MAX_COLUMNS: usize = 10;
const MAX_ITEMS: usize = 500;
const MAX_LEVEL: u8 = 5;
/// Longer texts get a paragraph of their own.
const SHORT: usize = 160;

#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    Heading {
        level: u8,
        text: String,
    },
    /// Prose, in Markdown.
    Text(String),
    /// Names and values.
    Facts(Vec<(String, String)>),
    Table {
        columns: Vec<String>,
        rows: Vec<Vec<String>>,
        /// Rows that are not shown.
        more: usize,
    },
    List {
        items: Vec<String>,
        more: usize,
    },
    Code(String),
}

/// Appends the blocks of a value; `level` is that of its sub-headings.
pub fn read(value: &Value, level: u8, out: &mut Vec<Block>) {
    match value {
        Value::Null => out.push(Block::Text("Nothing.".to_owned())),
        Value::String(text) if text.trim().is_empty() => out.push(Block::Text("Nothing.".to_owned())),
        Value::String(text) => out.push(Block::Text(text.clone())),
        Value::Bool(_) | Value::Number(_) => out.push(Block::Text(cell(value))),
        Value::Array(items) => read_list(items, out),
        Value::Object(map) if level > MAX_LEVEL => out.push(Block::Code(pretty(&Value::Object(map.clone())))),
        Value::Object(map) => read_object(map, level, out),
    }
}

/// `generate_report` as a person writes it: `Generate report`.
#[must_use]
pub fn label(name: &str) -> String {
    let spaced = name.replace(['_', '.'], " ");
    let mut chars = spaced.trim().chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn read_object(map: &Map<String, Value>, level: u8, out: &mut Vec<Block>) {
    let is_fact = |value: &Value| match value {
        Value::String(text) => text.len() <= SHORT && !text.contains('\n'),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => true,
    };
    let facts: Vec<_> =
        map.iter().filter(|(_, value)| is_fact(value)).map(|(key, value)| (label(key), cell(value))).collect();
    if !facts.is_empty() {
        out.push(Block::Facts(facts));
    }
    let rest: Vec<_> = map.iter().filter(|(_, value)| !is_fact(value)).collect();
    // A text with facts about it, such as a model's answer, needs no heading of its own.
    let alone = matches!(rest.as_slice(), [(_, Value::String(_))]);
    for (key, value) in rest {
        if !alone {
            out.push(Block::Heading { level, text: label(key) });
        }
        read(value, level + 1, out);
    }
    if map.is_empty() {
        out.push(Block::Text("Nothing.".to_owned()));
    }
}

fn read_list(items: &[Value], out: &mut Vec<Block>) {
    if items.is_empty() {
        out.push(Block::Text("None.".to_owned()));
    } else if items.iter().all(Value::is_object) {
        out.push(table(items));
    } else if items.iter().any(|item| item.is_array() || item.is_object()) {
        out.push(Block::Code(pretty(&Value::Array(items.iter().take(MAX_ITEMS).cloned().collect()))));
    } else {
        let shown: Vec<_> = items.iter().take(MAX_ITEMS).map(cell).collect();
        out.push(Block::List { more: items.len() - shown.len(), items: shown });
    }
}

fn table(items: &[Value]) -> Block {
    /// What a row is about comes first.
    const FIRST: [&str; 4] = ["url", "name", "title", "id"];
    let mut columns: Vec<&String> = Vec::new();
    for key in items.iter().take(MAX_ROWS).filter_map(Value::as_object).flat_map(Map::keys) {
        if columns.len() < MAX_COLUMNS && !columns.contains(&key) {
            columns.push(key);
        }
    }
    columns.sort_by_key(|key| FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()));
    let row = |item: &Value| columns.iter().map(|key| item.get(*key).map(cell).unwrap_or_default()).collect();
    let rows: Vec<Vec<String>> = items.iter().take(MAX_ROWS).map(row).collect();
    Block::Table { columns: columns.iter().map(|key| label(key)).collect(), more: items.len() - rows.len(), rows }
}

/// A value in one line.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) if items.len() <= 3 && items.iter().all(|item| !item.is_array() && !item.is_object()) => {
            items.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => format!("{} items", items.len()),
        Value::Object(map) => format!("{} fields", map.len()),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
