//! A template over a page: both are strangers'. The first line is the template.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use teamai::catalog::template::{Budget, Compiler, Escape, Scope, references};

fn render(template: &str, escape: Escape, scope: &Scope) -> Option<Value> {
    // What the validator refuses is never rendered.
    references(template).ok()?;
    let mut compiler = Compiler::default();
    let compiled = compiler.value(&Value::from(template), escape, "config.prompt_template").ok()?;
    compiler.finish().render(&compiled, escape, scope, "config.prompt_template", &Budget::default()).ok()
}

fuzz_target!(|text: &str| {
    let (template, page) = text.split_once('\n').unwrap_or((text, "{{ 7*7 }}"));
    let inputs = json!({"page": page, "pages": [{"title": page, "words": 7}, {"title": "b", "words": 0}]});
    let mut scope = Scope::new(inputs.as_object().expect("an object"), json!({"task_id": "t"}));
    scope.finish("crawl", &inputs);
    scope.skip("report");
    for escape in [Escape::None, Escape::Html] {
        let _ = render(template, escape, &scope);
    }
    // A page is data: it comes out as it went in, whatever it says.
    let shown = render("{{ inputs.page }}", Escape::None, &scope);
    assert_eq!(shown.as_ref().and_then(Value::as_str), Some(page));
    let within = render("[{{ crawl.pages[0].title }}]", Escape::None, &scope);
    assert_eq!(within, Some(Value::from(format!("[{page}]"))));
});
