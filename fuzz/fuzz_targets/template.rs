//! A template over a page: both are strangers'. The first line is the template.

#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use teamai::catalog::template::{Budget, Compiled, Escape, Scope, references};

/// Instrumented code is slower than what is served, and remembers more.
const LONGEST: Duration = Duration::from_secs(4);
const MOST: u64 = 128 * 1024 * 1024;

fn render(template: &str, escape: Escape, scope: &Scope) -> Option<Value> {
    // What the validator refuses is never rendered.
    references(template).ok()?;
    let compiled = Compiled::new(&Value::from(template), escape, "config.prompt_template").ok()?;
    compiled.render(escape, scope, "config.prompt_template", &Budget::default()).ok()
}

/// Fails when the work takes longer, or more memory at its highest, than one config may.
fn within_bounds<T>(work: impl FnOnce() -> T) -> T {
    // Sets the mark of the highest back.
    std::fs::write("/proc/self/clear_refs", "5").ok();
    let (before, started) = (memory("VmRSS"), Instant::now());
    let done = work();
    assert!(started.elapsed() < LONGEST, "it took {:?}", started.elapsed());
    let taken = memory("VmHWM").saturating_sub(before);
    assert!(taken < MOST, "it took {taken} bytes");
    done
}

/// A line of `/proc/self/status` in bytes.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().nth(1)?.parse::<u64>().ok());
    found.unwrap_or_default() * 1024
}

fuzz_target!(|text: &str| {
    let (template, page) = text.split_once('\n').unwrap_or((text, "{{ 7*7 }}"));
    let inputs = json!({"page": page, "pages": [{"title": page, "words": 7}, {"title": "b", "words": 0}]});
    // Lists and texts that are worth growing.
    let inputs = json!({"page": page, "pages": vec![inputs["pages"][0].clone(); 200], "long": page.repeat(1_000)});
    let mut scope = Scope::new(inputs.as_object().expect("an object"), json!({"task_id": "t"}));
    scope.finish("crawl", &inputs);
    scope.skip("report");
    for escape in [Escape::None, Escape::Html] {
        let _ = within_bounds(|| render(template, escape, &scope));
    }
    // A page is data: it comes out as it went in, whatever it says.
    let shown = render("{{ inputs.page }}", Escape::None, &scope);
    assert_eq!(shown.as_ref().and_then(Value::as_str), Some(page));
    let within = render("[{{ crawl.pages[0].title }}]", Escape::None, &scope);
    assert_eq!(within, Some(Value::from(format!("[{page}]"))));
});
