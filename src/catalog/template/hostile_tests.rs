//! Templates drawn from a grammar of every construct, filter and method, with large sizes:
//! each is refused, or rendered in bounded time and memory.

use std::time::Instant;

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::{Budget, Compiled, Escape, Expr, Scope, TemplateError, references};
use crate::base::apart;

/// Bytes above what the process had before, at the highest.
const MOST: u64 = 64 * 1024 * 1024;

const LEAVES: [&str; 30] = [
    "crawl.pages",
    "crawl",
    "inputs.page",
    "inputs.long",
    "inputs.none",
    "runtime",
    "a",
    "b",
    "ns.s",
    "x",
    "loop.index",
    "0",
    "1",
    "-1",
    "7",
    "1000",
    "100000",
    "1000000000",
    "9223372036854775807",
    "1.5",
    "'a'",
    "''",
    "'%s%1000d'",
    "'{:>9999}'",
    "none",
    "true",
    "[]",
    "{}",
    "range(100000)",
    "range(9)",
];
const BINARY: [&str; 18] = [
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "**",
    "~",
    "==",
    "!=",
    "<",
    ">=",
    "and",
    "or",
    "in",
    "not in",
    "is sameas",
    "is eq",
];
const FILTERS: [&str; 66] = [
    "safe",
    "escape",
    "lower",
    "upper",
    "title",
    "capitalize",
    "replace(X, Y)",
    "replace('', X)",
    "length",
    "count",
    "dictsort",
    "items",
    "reverse",
    "trim",
    "trim(X)",
    "join",
    "join(X)",
    "join(X, attribute='title')",
    "split(X)",
    "split",
    "lines",
    "default(X)",
    "d(X, true)",
    "round(X)",
    "abs",
    "int",
    "float",
    "attr(X)",
    "first",
    "last",
    "min",
    "max",
    "sort",
    "sort(attribute='title')",
    "list",
    "string",
    "bool",
    "batch(X)",
    "batch(X, Y)",
    "slice(X)",
    "slice(X, Y)",
    "sum",
    "sum(attribute='words')",
    "sum(X)",
    "sum(start=X)",
    "indent(X)",
    "indent(X, true, true)",
    "select",
    "reject('odd')",
    "selectattr('words')",
    "rejectattr('words', 'gt', X)",
    "map('upper')",
    "map(attribute='title')",
    "map('join', X)",
    "groupby('title')",
    "unique",
    "chain(X)",
    "zip(X, Y)",
    "pprint",
    "tojson",
    "tojson(indent=X)",
    "urlencode",
    "format(X, Y)",
    "truncate(X)",
    "striptags",
    "slug",
];
const METHODS: [&str; 30] = [
    "upper()",
    "lower()",
    "islower()",
    "split(X)",
    "split(X, Y)",
    "splitlines()",
    "replace(X, Y)",
    "title()",
    "strip(X)",
    "lstrip()",
    "startswith(X)",
    "endswith(X)",
    "find(X)",
    "rfind(X)",
    "join(X)",
    "format(X, Y)",
    "count(X)",
    "count('')",
    "capitalize()",
    "isalnum()",
    "isdigit()",
    "keys()",
    "values()",
    "items()",
    "get(X, Y)",
    "get('pages')",
    "index(X)",
    "append(X)",
    "zfill(X)",
    "center(X)",
];

fn filled(pattern: &str, x: &str, y: &str) -> String {
    pattern.replace('X', x).replace('Y', y)
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = select(&LEAVES[..]).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let three = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            3 => (inner.clone(), select(&BINARY[..]), inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            4 => (three.clone(), select(&FILTERS[..])).prop_map(|((a, x, y), f)| format!("({a}|{})", filled(f, &x, &y))),
            2 => (three.clone(), select(&METHODS[..])).prop_map(|((a, x, y), m)| format!("({a}).{}", filled(m, &x, &y))),
            1 => three.clone().prop_map(|(a, b, c)| format!("{a}[{b}:{c}]")),
            1 => three.clone().prop_map(|(a, b, c)| format!("({a}[::{b}] if {c} else {b})")),
            1 => three.clone().prop_map(|(a, b, c)| format!("[{a}, {b}, {c}]")),
            1 => three.clone().prop_map(|(a, b, c)| format!("({a}, {b}, {c})")),
            1 => three.prop_map(|(a, b, c)| format!("{{'k': {a}, 'l': {b}, 7: {c}}}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            1 => (inner.clone(), inner).prop_map(|(a, b)| format!("dict(k={a}, l=-{b})")),
        ]
    })
}

fn statements() -> impl Strategy<Value = String> {
    let simple = prop_oneof![
        expression().prop_map(|e| format!("{{{{ {e} }}}}")),
        expression().prop_map(|e| format!("{{% set a = {e} %}}")),
        expression().prop_map(|e| format!("{{% set ns.s = {e} %}}")),
        (expression(), 1_usize..60).prop_map(|(e, n)| format!("{{% set a = {e} %}}").repeat(n)),
        (select(&["a + a", "a * 2", "a ~ a", "[a]", "a[0:]", "a|replace('a', 'aa')"][..]), 1_usize..60)
            .prop_map(|(e, n)| format!("{{% set a = {e} %}}").repeat(n)),
        select(&["ns.s + ns.s", "ns.s * 3", "ns.s ~ a", "ns.s[0:]", "ns.s|list + ns.s|list", "ns.s|reverse"][..])
            .prop_map(|e| format!("{{% set ns.s = {e} %}}")),
        Just("{% raw %}{{ a }}{% endraw %}{# {% raw %} #}".to_owned()),
    ];
    simple.prop_recursive(4, 30, 4, |inner| {
        let body = prop::collection::vec(inner, 1..4).prop_map(|parts| parts.concat());
        prop_oneof![
            (expression(), body.clone()).prop_map(|(e, body)| format!("{{% for x in {e} %}}{body}{{% endfor %}}")),
            (expression(), expression(), body.clone()).prop_map(|(e, f, body)| format!(
                "{{% for x, y in {e} if {f} %}}{body}{{% else %}}{body}{{% endfor %}}"
            )),
            body.clone().prop_map(|body| format!("{{% for x in range(90000) %}}{body}{{% endfor %}}")),
            (expression(), body.clone())
                .prop_map(|(e, body)| format!("{{% if {e} %}}{body}{{% elif {e} %}}{body}{{% endif %}}")),
            (expression(), body.clone())
                .prop_map(|(e, body)| format!("{{% with a = {e}, b = {e} %}}{body}{{% endwith %}}")),
            body.clone().prop_map(|body| format!("{{% set a %}}{body}{{% endset %}}")),
            (select(&["upper", "trim", "indent(9999)", "escape", "urlencode"][..]), body.clone())
                .prop_map(|(f, body)| format!("{{% filter {f} %}}{body}{{% endfilter %}}")),
            body.prop_map(|body| format!("{{% autoescape true %}}{body}{{% endautoescape %}}")),
        ]
    })
}

fn scope() -> Scope {
    let pages: Vec<Value> =
        (0..200).map(|n| json!({"title": format!("Page {n}"), "words": n, "h": ["a", "b"]})).collect();
    let inputs = json!({"page": "a b", "long": "a ".repeat(20_000), "none": null});
    let mut scope = Scope::new(inputs.as_object().unwrap(), json!({"task_id": "t"}));
    scope.finish("crawl", &json!({"pages": pages}));
    scope
}

fn render(text: &str, escape: Escape) -> Result<Value, TemplateError> {
    Compiled::new(&Value::from(text), escape, "config")?.render(escape, &scope(), "config", &Budget::default())
}

/// A line of `/proc/self/status` in bytes. What other tests of the process do would be
/// counted too, so that only a runner with a process for each test is believed.
fn memory(line: &str) -> Option<u64> {
    std::env::var_os("NEXTEST")?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib =
        status.lines().find_map(|found| found.strip_prefix(line))?.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    Some(kib * 1024)
}

pub(super) fn within_bounds(text: &str, work: impl FnOnce()) {
    // Sets the mark of the highest back.
    std::fs::write("/proc/self/clear_refs", "5").ok();
    let (before, started) = (memory("VmRSS"), Instant::now());
    work();
    assert!(started.elapsed() < apart::END, "{:?}: {text}", started.elapsed());
    if let (Some(before), Some(highest)) = (before, memory("VmHWM")) {
        let taken = highest.saturating_sub(before);
        assert!(taken <= MOST, "{} MiB: {text}", taken / 1024 / 1024);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_template_is_refused_or_rendered_within_bounds(a in expression(), body in prop::collection::vec(statements(), 1..4)) {
        let text = format!("{{% set a = {a} %}}{{% set ns = namespace(s=1) %}}{{% set ns.s = a %}}{}", body.concat());
        within_bounds(&text, || {
            if references(&text).is_ok() {
                drop(render(&text, Escape::None));
                drop(render(&text, Escape::Html));
            }
        });
    }

    #[test]
    fn every_expression_is_refused_or_gives_its_value_within_bounds(text in expression()) {
        within_bounds(&text, || {
            if let Ok(expression) = Expr::new(&text, "when") {
                drop(expression.holds(&scope(), "when"));
                drop(expression.value(&scope(), "for_each"));
            }
            drop(render(&format!("{{{{ {text} }}}}"), Escape::None));
        });
    }
}
