//! Work that the engine does for nothing, or charges for by something other than its size:
//! each, in a loop, ends because it is paid for, long before the clock would end it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Budget, Compiled, Escape, Scope, hostile_tests::within_bounds};

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

/// Lists that hold others many times over: small in memory, and without end as a text.
const SHARED: [&str; 2] = ["(['x' * 300000] * 1000)", NESTED];
const NESTED: &str = "([[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]\
                      *10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]*10]\
                      *10]*10)";

#[test]
fn what_is_done_with_a_list_that_holds_others_many_times_over_ends() {
    let scope = scope();
    let works = "D == D;D != [D];D < D;0 < D < D;D in [D];D in 'text';D not in D;D is eq(D);D is in(D);D is in('text');\
                 D is string;D is number;D is upper;D is sameas(D);1 is divisibleby(D);D ~ D;D + D == D;D[0] == D[1];\
                 D | sort;D | sort(attribute=D);D | unique;{'a': D} | dictsort(by='value');D | batch(D);D | batch(2, D);\
                 D | slice(D);'%s' | format(D);D | tojson;tojson | default(D) | tojson;'a' | tojson(indent=D);\
                 'abc' | truncate(end=D);D | truncate;'a' | replace(D, D);D | replace('a', 'b');D | upper;D | lower;\
                 D | title;D | capitalize;D | escape;D | e;D | safe;D | indent;'a' | indent(D);D | trim;'a' | trim(D);\
                 D | split;'a' | split(D);D | lines;D | urlencode;D | string;D | pprint;D | join;D | join(D);'a' | join(D);\
                 D | length;D | first;D | last;D | list;D | reverse;D | min;D | max;D | sum;D | groupby('a');D | zip(D);\
                 D | chain(D);D | select('eq', D);D | select('in', 'text');D | reject('upper');[D] | select('lower');\
                 [{'a': D}] | selectattr('a', 'upper');[{'a': D}] | rejectattr('a', 'in', 'text');D | map('upper');\
                 [D] | map('escape');[D] | map('default', D);[D] | map('join', D);[D] | map(D);[D] | map('string');\
                 [D] | map('tojson');D | items;D | attr(D);D | int;D | float;D | abs;D | round;D | bool;D | wordcount;\
                 D | striptags;D | slug;{D: 1};{'a': 1}[D];D[D];D[D:D];D[1:] == D;'{}'.format(D);'a'.count(D);'a'.join(D);\
                 D.count(D);D.index(1);'a'.split(D);'a'.replace(D, D);'a'.startswith(D);'a'.strip(D);range(D);dict(a=D) == D;\
                 namespace(a=D).a == D;(D if D else D) == D;not D;-D;D * 2 == D;D * D;D // D;D % 2;D ** 2;D - D";
    for list in SHARED {
        for work in works.split(';').map(|work| work.trim().replace('D', list)) {
            let text = format!("{{% if {work} %}}{{% endif %}}");
            let Ok(program) = Compiled::new(&Value::from(text), Escape::Html, "config") else { continue };
            // What is not refused at once ends by the clock, wherever it is.
            within_bounds(&work.replace(list, "D"), || {
                let end = Instant::now() + Duration::from_millis(50);
                program.render(Escape::Html, &scope, "config", &Budget::ending(end)).ok();
            });
        }
    }
}
