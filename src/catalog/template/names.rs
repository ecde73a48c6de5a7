//! Which names a template uses, found without rendering it.

use std::collections::BTreeSet;

use super::{engine, form::Form, growth, helpers, syntax};

/// Names that a template takes from its context, as dotted as they were written:
/// `inputs.website_url`, `fetch_pages.pages`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    pub names: BTreeSet<String>,
    /// Whether it asks if something is defined, or gives a default.
    pub guarded: bool,
}

/// Text that is no template, with the line within the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxFault {
    pub message: String,
}

/// The names in a string of a config. None in a string without `{{` or `{%`.
///
/// # Errors
/// The string is no template.
pub fn references(text: &str) -> Result<References, SyntaxFault> {
    match Form::of(text) {
        Form::Literal => Ok(References::default()),
        Form::Expression(expression) => references_of_expression(expression),
        Form::Text => {
            let called = known_helpers(text, false)?;
            let template = engine::ENGINE.template_from_str(text).map_err(|error| fault(&error))?;
            collect(text, &called, template.undeclared_variables(true))
        }
    }
}

/// The names in `when`, `for_each` or an output's source.
///
/// # Errors
/// The text is no expression.
pub fn references_of_expression(text: &str) -> Result<References, SyntaxFault> {
    let called = known_helpers(bare(text), true)?;
    let expression = engine::ENGINE.compile_expression(bare(text)).map_err(|error| fault(&error))?;
    collect(text, &called, expression.undeclared_variables(true))
}

/// An expression may stand in braces, as it would in a config.
pub fn bare(text: &str) -> &str {
    match Form::of(text) {
        Form::Expression(expression) => expression,
        _ => text,
    }
}

/// Reads the text within bounds before anything else parses it, and refuses what cannot run or
/// could grow. Gives the names that it calls.
fn known_helpers(text: &str, is_expression: bool) -> Result<Vec<&str>, SyntaxFault> {
    let tree = syntax::parse(text, is_expression).map_err(|message| SyntaxFault { message })?;
    let refusal = || growth::refusal(&tree).map(str::to_owned);
    helpers::unknown(&tree)
        .or_else(refusal)
        .map_or_else(|| Ok(helpers::called(&tree)), |message| Err(SyntaxFault { message }))
}

fn fault(error: &minijinja::Error) -> SyntaxFault {
    SyntaxFault { message: engine::explain(error) }
}

fn collect(text: &str, called: &[&str], names: impl IntoIterator<Item = String>) -> Result<References, SyntaxFault> {
    let is_function = |name: &str| engine::ENGINE.globals().any(|(global, _)| global == name);
    let names = names.into_iter().filter(|name| !is_function(name)).collect();
    if let Some(message) = helpers::unknown_function(called, &names) {
        return Err(SyntaxFault { message });
    }
    Ok(References { names, guarded: text.contains("default") || text.contains("defined") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_and_leaves_out_what_the_template_sets() {
        let found = references(
            "{% for p in crawl.pages %}{{ loop.index }} {{ p.title }} {{ inputs.x }}{% endfor %}{{ range(3) }}",
        );
        let names: Vec<String> = found.unwrap().names.into_iter().collect();
        assert_eq!(names, ["crawl.pages", "inputs.x"]);
        assert!(references("no template, {single} braces").unwrap().names.is_empty());
    }

    #[test]
    fn an_unknown_function_is_called_one_and_those_there_are_are_named() {
        for text in [
            "{{ foo(1) }}",
            "x {{ foo(inputs.a) | upper }}",
            "{% for x in foo() %}{% endfor %}",
            "{% if inputs.a and foo(2) %}{% endif %}",
            "{% set x = foo(1) %}",
            "{{ range(foo(1)) }}",
        ] {
            let message = references(text).unwrap_err().message;
            let wanted = "there is no function `foo`; the functions are dict, namespace and range";
            assert_eq!(message, wanted, "{text}");
        }
        let near = references_of_expression("rang(3)").unwrap_err().message;
        assert!(near.starts_with("there is no function `rang`; did you mean `range`?"), "{near}");
        for text in [
            "{{ range(3) }}",
            "{{ dict(a=1).a }}",
            "{% set ns = namespace(x=1) %}{{ ns.x }}",
            "{{ inputs.a.items() }}{% for x in a %}{{ loop.cycle(1, 2) }}{% endfor %}",
            "{{ 'foo(1)' }} foo(1) {# {{ foo(1) }} #}{% raw %}{{ foo(1) }}{% endraw %}",
            "{% set f = range %}{{ f(3) }}",
        ] {
            assert!(references(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_expression_may_stand_in_braces() {
        for text in ["inputs.on", "{{ inputs.on }}", "{{- inputs.on -}}"] {
            assert!(references_of_expression(text).unwrap().names.contains("inputs.on"), "{text}");
        }
    }

    #[test]
    fn a_fault_says_what_and_where() {
        let fault = references("one\n{% for x in %}").unwrap_err();
        assert!(fault.message.contains("line 2"), "{fault:?}");
        assert!(references("{{ a b }}").is_err());
        assert!(references_of_expression("a ==").is_err());
        assert!(references("{% include 'x' %}").is_err());
    }
}
