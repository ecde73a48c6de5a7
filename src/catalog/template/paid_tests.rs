//! Work that the engine does for nothing, or charges for by something other than its size:
//! each, in a loop, ends because it is paid for, long before the clock would end it.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Budget, Compiled, Escape, Scope};

fn scope() -> Scope {
    let numbers: Vec<u32> = (0..50_000).collect();
    let page =
        |n| json!({"title": format!("Page {n}"), "h": (0..200).collect::<Vec<u32>>(), "text": "abc ".repeat(5_000)});
    let pages: Vec<Value> = (0..100).map(page).collect();
    let inputs = json!({"long": "a ".repeat(2_000_000), "list": numbers});
    let mut scope = Scope::new(inputs.as_object().unwrap(), json!({}));
    for node in ["crawl", "other"] {
        scope.finish(node, &json!({"pages": pages, "deep": {"a": numbers}}));
    }
    scope
}

fn runs_out(work: &[&str]) {
    let scope = scope();
    for work in work {
        let text = format!("{{% for i in range(90000) %}}{{% if {work} %}}{{% endif %}}{{% endfor %}}");
        let started = Instant::now();
        let program = Compiled::new(&Value::from(text), Escape::Html, "config").unwrap();
        let error = program.render(Escape::Html, &scope, "config", &Budget::default()).unwrap_err();
        assert!(error.message.contains("steps"), "{work}: {} after {:?}", error.message, started.elapsed());
    }
}

#[test]
fn comparing_is_paid_for_by_size() {
    runs_out(&[
        "crawl == other",
        "[crawl] != [other]",
        "crawl.deep < other.deep",
        "1 < crawl.pages < other.pages",
        "crawl.deep is eq other.deep",
        "crawl.deep is in [1, other.deep]",
        "other.pages not in crawl.pages",
        "inputs.long in ([inputs.long + 'a'] * 40000)",
        "crawl[other] is defined",
        "{crawl: 1}",
        "loop.changed(crawl)",
        "([crawl] * 400).index(other)",
        "crawl.get(other)",
        "crawl.pages | selectattr('h', 'eq', other.pages[0].h) | list",
        "crawl.pages | select('in', other.pages) | list",
        "namespace(a=crawl).a == other",
    ]);
}

#[test]
fn sorting_is_paid_for_by_size() {
    runs_out(&[
        "crawl.pages | sort(attribute='text')",
        "crawl.pages | groupby('text')",
        "crawl.pages | unique",
        "crawl.pages | max",
        "crawl | dictsort",
        "([inputs.long] * 40000) | sort",
        "([1] * 90000000) == ([1] * 90000000)",
    ]);
}

#[test]
fn reading_and_writing_texts_is_paid_for_by_size() {
    runs_out(&[
        "crawl.pages ~ ''",
        "inputs.long[1:2]",
        "inputs.long | slug",
        "inputs.long | striptags",
        "inputs.long.split()",
        "crawl.pages | map(attribute='text') | map('wordcount') | list",
        "crawl.pages | map(attribute='text') | select('in', inputs.long) | list",
        "crawl.pages | map('tojson') | list",
        "'abc' | replace(crawl.pages, 'b')",
    ]);
}
