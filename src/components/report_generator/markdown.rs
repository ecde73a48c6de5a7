//! Blocks to Markdown. What came from outside can write text, not HTML or tables.

use std::fmt::Write as _;

use super::{blocks::Block, prose::disarmed};

pub fn document(title: &str, blocks: &[Block], now: &str) -> String {
    let mut out = format!("# {}\n\n", inline(title));
    for block in blocks {
        write_block(block, &mut out);
    }
    let _ = writeln!(out, "---\n\nGenerated {now}");
    out
}

fn write_block(block: &Block, out: &mut String) {
    let _ = match block {
        Block::Heading { level, text } => writeln!(out, "{} {}\n", "#".repeat(usize::from(*level)), inline(text)),
        Block::Text(text) => writeln!(out, "{}\n", disarmed(text.trim())),
        Block::Facts(facts) => {
            for (name, value) in facts {
                let _ = writeln!(out, "- **{}:** {}", inline(name), inline(value));
            }
            writeln!(out)
        }
        Block::Table { columns, rows, more } => {
            let line = |cells: &[String]| cells.iter().map(|cell| inline(cell)).collect::<Vec<_>>().join(" | ");
            let _ = writeln!(out, "| {} |\n|{}", line(columns), " --- |".repeat(columns.len()));
            for row in rows {
                let _ = writeln!(out, "| {} |", line(row));
            }
            write_more(*more, "rows", out)
        }
        Block::List { items, more } => {
            for item in items {
                let _ = writeln!(out, "- {}", inline(item));
            }
            write_more(*more, "items", out)
        }
        Block::Code(code) => {
            // Longer than any fence within.
            let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
            let fence = "`".repeat(longest.max(2) + 1);
            writeln!(out, "{fence}json\n{code}\n{fence}\n")
        }
    };
}

fn write_more(more: usize, what: &str, out: &mut String) -> std::fmt::Result {
    if more > 0 { writeln!(out, "\nand {more} more {what}\n") } else { writeln!(out) }
}

/// Text in one line, with nothing in it that Markdown or HTML would read.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        for c in word.chars() {
            match c {
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '&' => out.push_str("&amp;"),
                '\\' | '`' | '*' | '[' | ']' | '|' | '#' => {
                    out.push('\\');
                    out.push(c);
                }
                _ => out.push(c),
            }
        }
    }
    out
}
