//! Rendering as the engine does it: whole values, in a scope.

use serde_json::{Value, json};

use super::Scope;
use crate::catalog::template::{Budget, Compiled, Escape, TemplateError};

fn scope() -> Scope {
    let inputs = json!({"depth": 3, "name": "Ann", "off": null, "evil": "{{ 7*7 }}<b>"});
    let mut scope = Scope::new(inputs.as_object().unwrap(), json!({"now": "2026-01-01T00:00:00Z"}));
    scope.finish("crawl", &json!({"pages": [{"title": "A & B"}, {"title": null}], "total_pages": 2}));
    scope.finish("report", &json!({"output": "# Report", "filename": "r.md"}));
    scope.finish("list", &json!([1, 2]));
    scope.finish("words", &json!("two words"));
    scope.skip("skipped");
    scope
}

fn render_as(value: &Value, escape: Escape) -> Result<Value, TemplateError> {
    let ready = Compiled::new(value, escape, "config")?;
    ready.render(escape, &scope(), "config", &Budget::default())
}

fn render(value: &Value) -> Value {
    render_as(value, Escape::None).unwrap()
}

fn error(text: &str) -> String {
    let error = render_as(&json!({"prompt": {"x": [text]}}), Escape::None).unwrap_err();
    assert_eq!(error.path, "config.prompt.x[0]");
    error.message
}

#[test]
fn one_expression_keeps_its_type_and_other_strings_do_not() {
    assert_eq!(
        render(&json!({"a": "{{ inputs.depth }}", "b": "{{ inputs.depth }} deep", "c": 7})),
        json!({"a": 3, "b": "3 deep", "c": 7})
    );
    assert_eq!(render(&json!("{{ crawl.pages | length > 1 }}\n")), json!(true));
    assert_eq!(render(&json!("{{ inputs.depth }}{{ inputs.depth }}")), json!("33"));
    assert_eq!(render(&json!("{{- inputs.depth -}}")), json!(3));
    assert_eq!(render(&json!("{{ inputs.off }}")), Value::Null);
}

#[test]
fn a_node_answers_to_both_names() {
    for text in ["{{ crawl.pages }}", "{{ crawl.output.pages }}", "{{ crawl['pages'] }}"] {
        assert_eq!(render(&json!(text)), json!([{"title": "A & B"}, {"title": null}]), "{text}");
    }
    assert_eq!(render(&json!("{{ crawl }}")), render(&json!("{{ crawl.output }}")));
    assert_eq!(render(&json!("{{ report.output }}")), json!("# Report"));
    assert_eq!(render(&json!("{{ report.output | upper }} {{ report.output }}")), json!("# REPORT # Report"));
    assert_eq!(render(&json!("{{ report.output.filename }} {{ report.filename }}")), json!("r.md r.md"));
    assert_eq!(render(&json!("{{ report.output.output }}")), json!("# Report"));
}

#[test]
fn an_output_that_is_no_mapping_behaves_as_what_it_is() {
    assert_eq!(
        render(&json!("{% for n in list %}{{ n }};{% endfor %}{{ list | length }}{{ list[1] }}")),
        json!("1;2;22")
    );
    assert_eq!(render(&json!("{{ list }}")), json!([1, 2]));
    assert_eq!(render(&json!("{{ words | upper }}/{{ words.output }}")), json!("TWO WORDS/two words"));
    assert_eq!(render(&json!("{{ words }}")), json!("two words"));
}

#[test]
fn what_was_rendered_is_data() {
    assert_eq!(render(&json!("{{ inputs.evil }}")), json!("{{ 7*7 }}<b>"));
    assert_eq!(render(&json!("text: {{ inputs.evil }}")), json!("text: {{ 7*7 }}<b>"));
}

#[test]
fn html_escapes_everything_from_outside() {
    let html = |value: &Value| render_as(value, Escape::Html).unwrap();
    assert_eq!(html(&json!("<p>{{ inputs.evil }}</p>")), json!("<p>{{ 7*7 }}&lt;b&gt;</p>"));
    assert_eq!(html(&json!("{{ inputs.evil }}")), json!("{{ 7*7 }}&lt;b&gt;"));
    assert_eq!(html(&json!("<i>{{ crawl.pages[0].title }}</i>{{ '<b>' | safe }}")), json!("<i>A &amp; B</i><b>"));
    assert_eq!(html(&json!("x{{ words }}{{ report.output }}")), json!("xtwo words# Report"));
    assert_eq!(html(&json!("{{ crawl.pages }}")), json!([{"title": "A &amp; B"}, {"title": null}]));
}

#[test]
fn a_name_that_is_not_there_is_named() {
    for (text, name) in [
        ("{{ nobody }}", "nobody"),
        ("a {{ nobody }}", "nobody"),
        ("{{ crawl.pagez }}", "crawl.pagez"),
        ("a {{ crawl.pagez }}", "crawl.pagez"),
        ("a\n{% for p in crawl.pagez %}{% endfor %}", "crawl.pagez"),
        ("{{ skipped.field }}", "skipped.field"),
        ("a {{ crawl.pagez.title }}", "crawl.pagez"),
        ("a {{ crawl.pagez | truncate(3) }}", "crawl.pagez"),
    ] {
        let message = error(text);
        assert!(message.contains(&format!("`{name}")) && message.contains("undefined"), "{text}: {message}");
    }
    assert!(error("one\ntwo {{ nobody }}").contains("line 2"));
}

#[test]
fn default_takes_missing_and_null() {
    let text = "{{ inputs.off | default('x') }}{{ crawl.nope | default('y') }}{{ skipped.z | default('z') }}{% if skipped %}!{% endif %}";
    assert_eq!(render(&json!(text)), json!("xyz"));
    assert_eq!(render(&json!("{{ inputs.name | d('x') }}{% if inputs.off %}!{% endif %}")), json!("Ann"));
}

#[test]
fn filters_that_recipes_expect() {
    assert_eq!(render(&json!("x{{ 'one two three' | truncate(9) }}")), json!("xone..."));
    assert_eq!(render(&json!("x{{ 'one two three' | truncate(9, true, '~') }}")), json!("xone two~"));
    assert_eq!(render(&json!("x{{ 'one' | truncate(9) }}{{ inputs.off | truncate(3) }}")), json!("xone"));
    assert_eq!(render(&json!("x{{ 'one two three' | truncate(length=9, end='~') }}")), json!("xone two~"));
    assert_eq!(render(&json!("{{ 'a,b'.split(',') }}")), json!(["a", "b"]));
    assert_eq!(
        render(&json!("x{% for key, value in report.items() %}{{ key }};{% endfor %}{{ report.get('nope', 'y') }}")),
        json!("xfilename;output;y")
    );
    assert_eq!(render(&json!("{{ 'one two' | wordcount }}")), json!(2));
    assert_eq!(render(&json!("{{ 'Site Audit: now!' | slug }}")), json!("site-audit-now"));
    assert_eq!(
        render(&json!("x{{ crawl.pages | tojson }}")),
        json!("x[{\"title\": \"A \\u0026 B\"}, {\"title\": null}]")
    );
    assert_eq!(render(&json!("x{{ crawl.pages | map(attribute='title') | select | join(', ') }}")), json!("xA & B"));
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let long = "{% for a in range(10000) %}{% for b in range(10000) %}{% set x = 1 %}{% endfor %}{% endfor %}";
    assert!(error(long).contains("steps"), "{}", error(long));
    let large = "{% for a in range(10000) %}{{ 'x' * 5000 }}{% endfor %}";
    assert!(error(large).contains("bytes"), "{}", error(large));
}

/// Small templates that would become large: refused before the memory is taken.
#[test]
fn what_doubles_ends_before_it_fills_the_memory() {
    let doubled = |statement: &str| format!("{{% set a = 'aaaaaaaa' %}}{}{{{{ a }}}}", statement.repeat(48));
    let nested = "{% set a = [a, a] %}".repeat(60);
    let wide = format!("[{}]", vec!["crawl.pages * 3000"; 100].join(", "));
    for (text, words) in [
        (doubled("{% set a = a ~ a %}"), "steps"),
        (doubled("{% set a = a + a %}"), "steps"),
        (doubled("{% set a %}{{ a }}{{ a }}{% endset %}"), "steps"),
        (doubled("{% set a = [a, a] | join %}"), "cannot keep a list"),
        (doubled("{% set a = a.join([a, a, a]) %}"), "cannot keep a list"),
        (doubled("{% set a = a | replace('a', 'aa') %}"), "steps"),
        (doubled("{% set a = a.replace('a', 'aa') %}"), "longer than"),
        (doubled("{% set a = '%s%s' | format(a, a) %}"), "steps"),
        (doubled("{% set a = '{}{}'.format(a, a) %}"), "steps"),
        (doubled("{% filter upper %}{% set a = a ~ a %}{% endfilter %}"), ""),
        ("{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}".to_owned(), "steps"),
        ("{% macro m(a, n) %}{% if n %}{{ m(a ~ a, n - 1) }}{% else %}{{ a }}{% endif %}{% endmacro %}{{ m('aaaaaaaa', 60) }}".to_owned(), ""),
        ("x{{ 'a' * 90000000 }}".to_owned(), ""),
        ("x{{ 'a' * 99000000 * 99000000 }}".to_owned(), ""),
        ("x{{ 'a\nb' | indent(1000000000) }}".to_owned(), ""),
        ("x{{ '%1000000000d' | format(1) }}".to_owned(), ""),
        ("x{{ '{:>1000000000}'.format('a') }}".to_owned(), "longer than"),
        ("x{{ range(100000) | list | tojson * 1000 }}".to_owned(), ""),
        ("x{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}".to_owned(), "steps"),
        (format!("{{% set a = 'a' %}}{nested}{{{{ a }}}}"), "cannot keep a list"),
        (format!("{{% set a = 'a' %}}{nested}{{{{ a | tojson }}}}"), "cannot keep a list"),
        (format!("{{% set a = 'a' %}}{nested}{{{{ a | string | length }}}}"), "cannot keep a list"),
        (format!("{{% set a = 'a' %}}{nested}{{{{ a ~ '' }}}}"), "cannot keep a list"),
        (format!("{{% set a = 'a' %}}{nested}{{{{ a | truncate(5) }}}}"), "cannot keep a list"),
        (format!("x{{{{ {wide} | tojson }}}}"), "longer than"),
        (format!("x{{{{ {wide} | string | length }}}}"), "longer than"),
        (format!("x{{{{ {wide} | join }}}}"), "longer than"),
        (format!("x{{{{ '%s' | format({wide}) }}}}"), "longer than"),
        (format!("x{{{{ '{{}}'.format({wide}) }}}}"), "steps"),
        (format!("x{{{{ {wide} }}}}"), "longer than"),
        (format!("x{{{{ {wide} | truncate(5) }}}}"), "truncate takes a text"),
        (format!("x{{{{ {wide} | striptags }}}}"), ""),
        (format!("x{{% set y %}}{{{{ {wide} }}}}{{% endset %}}"), "longer than"),
        ("x{{ range(9000) | list | tojson(indent=8000) }}".to_owned(), "indent is at most"),
        ("{% set a = crawl.pages %}".to_owned() + &"{% set a = a + a %}".repeat(40) + "{{ a | length }}", ""),
        ("{% set a = [1] %}".to_owned() + &"{% set a = a * 2 %}".repeat(60) + "{{ a | length }}", "steps"),
        ("{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s | length }}".to_owned(), "steps"),
        ("{% set n = namespace(s=[1]) %}{% for i in range(90000) %}{% set n.s = n.s[0:] %}{% for j in n.s %}{% set n.s = n.s + crawl.pages %}{% endfor %}{% endfor %}".to_owned(), "steps"),
        ("x{{ ('a b' * 9000000) | tojson | length }}".to_owned(), ""),
        ("x{{ ([1] * 1000000000000).count(2) }}".to_owned(), ""),
        ("x{{ ([1] * 1000000000000)[100000000000:] | first }}".to_owned(), ""),
        ("x{% for i in range(90000) %}{% if crawl.pages | tojson | length %}{% endif %}{% endfor %}".to_owned(), "steps"),
        ("x{{ [crawl.pages, crawl.pages] | sum(start=[]) }}".to_owned(), "does not take `start`"),
        ("x{{ [crawl.pages, crawl.pages] | sum([]) }}".to_owned(), "does not take `start`"),
        ("x{{ range(100000) | join('a' * 90000000) }}".to_owned(), ""),
        ("x{{ crawl.pages | join(('a' * 90000) ~ 'b') * 100 }}".to_owned(), ""),
        ("x{{ (crawl.pages | list * 50000000) | tojson }}".to_owned(), "longer than"),
    ] {
        let started = std::time::Instant::now();
        let message = error(&text);
        assert!(message.contains(words), "{text:.100}: {message}");
        assert!(started.elapsed().as_secs() < 20, "{text:.100} took {:?}", started.elapsed());
    }
}

/// One expression keeps its type, and is written out only if it is not too long.
#[test]
fn a_list_that_holds_another_many_times_is_no_value() {
    let mut copies = "list".to_owned();
    for _ in 0..6 {
        copies = format!("[{copies}, {copies}]");
    }
    assert!(render_as(&json!(format!("{{{{ {copies} }}}}")), Escape::None).is_ok());
    let long = "'".to_owned() + &"a".repeat(60_000) + "'";
    let many = vec![json!(format!("{{{{ {long} * 100 }}}}")); 4];
    let error = render_as(&json!(many), Escape::None).unwrap_err();
    assert!(error.path == "config[2]" && error.message.contains("together"), "{error}");
    let listed = format!("{{{{ [{long} * 100, {long} * 100, {long} * 100] }}}}");
    let error = render_as(&json!(listed), Escape::None).unwrap_err();
    assert!(error.message.contains("together"), "{error}");
}
