//! Refuses templates that could make a small value hold itself many times over.
//!
//! A list that holds another list twice costs next to nothing, sixty times in a row as
//! well, and writing it out would fill any memory. Work is paid for when it is done; this
//! says at publishing, in words, what could never be paid. A template's variables hold
//! texts, numbers, flat lists and pieces of what it was given.

use minijinja::machinery::ast::{CallArg, Expr, Stmt};

use super::syntax::{self, Tree};

const MACRO: &str = "macros and recursive loops are not offered; loop over a list, or use a Transform node";
const STORED: &str = "a variable cannot keep a list or mapping that is made of others: pick with `map` and `selectattr`, \
                      collect a text with `~`, write the list where it is used, or make it in a Transform node";
/// Filters that make lists of lists, and those that take such a filter's name.
const PAIRING: [&str; 4] = ["zip", "chain", "batch", "slice"];
const TAKES_A_FILTER: [&str; 5] = ["map", "select", "reject", "selectattr", "rejectattr"];
const MAKERS: [&str; 2] = ["dict", NAMESPACE];
const NAMESPACE: &str = "namespace";

/// Why a template or expression is refused.
pub fn refusal(tree: &Tree<'_>) -> Option<&'static str> {
    match tree {
        Tree::Expression(_) => None,
        Tree::Template(statement) => Known::default().statement(statement),
    }
}

/// Variables so far.
#[derive(Default)]
struct Known<'a> {
    namespaces: Vec<&'a str>,
}

impl<'a> Known<'a> {
    fn statement(&mut self, statement: &Stmt<'a>) -> Option<&'static str> {
        let refused = match statement {
            Stmt::Macro(_) | Stmt::CallBlock(_) => Some(MACRO),
            Stmt::Set(set) => self.kept(&set.target, &set.expr, 0),
            Stmt::WithBlock(with) => with.assignments.iter().find_map(|(target, value)| self.kept(target, value, 0)),
            Stmt::ForLoop(each) if each.recursive => Some(MACRO),
            // `for heading, urls in [('A', a.urls), ('B', b.urls)]`
            Stmt::ForLoop(each) => self.kept(&each.target, &each.iter, if is_list(&each.target) { 2 } else { 1 }),
            _ => None,
        };
        refused.or_else(|| syntax::bodies(statement).into_iter().flatten().find_map(|inner| self.statement(inner)))
    }

    /// Judges a value that gets a name; lists may be written in one another so deep.
    fn kept(&mut self, target: &Expr<'a>, value: &Expr<'a>, deepest: usize) -> Option<&'static str> {
        let (made, _) = depth(value);
        let pairs = syntax::all(value).into_iter().any(pairs);
        if made > deepest || (pairs && (made > 0 || deepest == 0)) || self.has_namespace(value) || bare_maker(value) {
            return Some(STORED);
        }
        if syntax::all(value).into_iter().any(|part| calls(part, NAMESPACE)) {
            self.namespaces.extend(syntax::all(target).into_iter().filter_map(name));
        }
        None
    }

    /// A namespace as a whole, which could be put into itself.
    fn has_namespace(&self, value: &Expr<'a>) -> bool {
        match value {
            Expr::Var(var) => self.namespaces.contains(&var.id),
            Expr::GetAttr(field) if matches!(field.expr, Expr::Var(_)) => false,
            _ => syntax::parts(value).into_iter().any(|part| self.has_namespace(part)),
        }
    }
}

fn name<'a>(expression: &Expr<'a>) -> Option<&'a str> {
    if let Expr::Var(var) = expression { Some(var.id) } else { None }
}

fn is_list(expression: &Expr<'_>) -> bool {
    matches!(expression, Expr::List(_) | Expr::Tuple(_))
}

fn calls(expression: &Expr<'_>, function: &str) -> bool {
    matches!(expression, Expr::Call(call) if name(&call.expr) == Some(function))
}

/// How deep lists and mappings that hold names are written within one another, and
/// whether there is a name in it at all.
fn depth(expression: &Expr<'_>) -> (usize, bool) {
    let inner: Vec<(usize, bool)> = syntax::parts(expression).into_iter().map(depth).collect();
    let deepest = inner.iter().map(|(depth, _)| *depth).max().unwrap_or(0);
    let has_names = inner.iter().any(|(_, has_names)| *has_names) || matches!(expression, Expr::Var(_));
    let makes = is_list(expression)
        || matches!(expression, Expr::Map(_))
        || matches!(expression, Expr::Call(call) if is_maker(&call.expr) && !call.args.is_empty() && names_in(&call.args));
    (deepest + usize::from(makes && (has_names || deepest > 0)), has_names)
}

fn names_in(args: &[CallArg<'_>]) -> bool {
    args.iter().any(|arg| {
        let (CallArg::Pos(value) | CallArg::Kwarg(_, value) | CallArg::PosSplat(value) | CallArg::KwargSplat(value)) =
            arg;
        let (made, has_names) = depth(value);
        made > 0 || has_names
    })
}

fn is_maker(expression: &Expr<'_>) -> bool {
    name(expression).is_some_and(|name| MAKERS.contains(&name))
}

/// A filter that makes a list of lists, by its own name or as what another is told.
fn pairs(expression: &Expr<'_>) -> bool {
    let Expr::Filter(filter) = expression else { return false };
    let told = |part: &&Expr<'_>| match part {
        Expr::Const(value) => value.value.as_str().is_some_and(|name| PAIRING.contains(&name)),
        _ => false,
    };
    PAIRING.contains(&filter.name)
        || (TAKES_A_FILTER.contains(&filter.name) && syntax::parts(expression).iter().any(told))
}

/// `dict` or `namespace` under another name.
fn bare_maker(value: &Expr<'_>) -> bool {
    match value {
        Expr::Var(_) => is_maker(value),
        Expr::Call(call) if is_maker(&call.expr) => syntax::parts(value).into_iter().skip(1).any(bare_maker),
        _ => syntax::parts(value).into_iter().any(bare_maker),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Option<&'static str> {
        super::refusal(&syntax::parse(text, false).unwrap())
    }

    #[test]
    fn what_recipes_do_is_let_through() {
        for text in [
            "{% set n = namespace(count=0, found=false) %}{% for p in crawl.pages %}{% set n.count = n.count + 1 %}{% endfor %}{{ n.count }}",
            "{% set title = page.title | default('none') %}{{ title ~ '!' }}",
            "{% set first = crawl.pages[0] %}{% set urls = crawl.pages | map(attribute='url') | list %}{{ urls | join(', ') }}",
            "{% set tags = ['a', 'b', 3] %}{% set none_yet = x | default([]) %}{{ tags | tojson }}",
            "{% for heading, urls in [('A', a.urls), ('B', b.urls)] if urls %}{{ heading }}{% endfor %}",
            "{% for p in [a, b] %}{{ p.title ~ ': ' ~ p.url }}{% endfor %}",
            "{% for row in items | batch(3) %}{{ row | join('|') }}{% endfor %}",
            "{% with title = page.title, n = 3 %}{{ title }}{% endwith %}",
            "{{ {'a': x, 'b': [y, z]} | tojson }} {{ (1 + n) * 2 }}",
            "{% raw %}{% macro m() %}{% endraw %}{# {% macro m() %} #}{{ '{% macro m() %}' }}",
            "{% set x %}{% for p in pages %}{{ p }}{% endfor %}{% endset %}",
            "{{ pages[: n * 2] | length }}{{ n * 2 }}{% set total = a.n + b.n %}{% set total = total + total %}{{ total ~ '' }}",
            "{% if a[0] == b[1:] and c in ['x', 'y'] %}{% endif %}",
            "{% set total = inputs.weeks * inputs.posts %}{{ total }} posts",
            "{% set kind = 'a slice of life' %}{% set both = a + b %}{{ both ~ '' }}",
            "{% set pair = 1, 2 %}{{ [a, a] ~ '' }}{{ (a * 9)[1:] | length }}",
        ] {
            assert_eq!(refusal(text), None, "{text}");
        }
    }

    #[test]
    fn what_could_hold_itself_many_times_is_refused() {
        for (text, why) in [
            ("{% set a = [a, a] %}", STORED),
            ("{%- set a = {'x': a, 'y': a} -%}", STORED),
            ("{% set a = (a, a) %}", STORED),
            ("{% set a = a, a %}", STORED),
            ("{% set a = dict(x=a, y=a) %}", STORED),
            ("{% set a = b | default([a, [a]]) %}", STORED),
            ("{% set a = a | zip(a) %}", STORED),
            ("{% set a = a | map('zip', a) %}", STORED),
            ("{% set d = dict %}", STORED),
            ("{% set n = namespace(x=a) %}", STORED),
            ("{% set n = namespace(x=1) %}{% set n.me = n %}", STORED),
            ("{% set n = namespace(x=1) | default(1) %}{% set n.me = n %}", STORED),
            ("{% set n = namespace(x=1) %}{% for m in [n] %}{% endfor %}", STORED),
            ("{#} {% raw %} #}{% set a = 'x' %}{% set a = [a, a] %}{{ a ~ '' }}", STORED),
            ("{{ {'}}': 1} }}{% set a = [a, a] %}", STORED),
            ("{{ ('}}', [{'%}': 1}]) }}{% set a = (([a, a])) %}", STORED),
            ("{% if x %}{% else %}{% filter upper %}{% set a = [a, a] %}{% endfilter %}{% endif %}", STORED),
            ("{% with a = [a, a] %}{% endwith %}", STORED),
            ("{% for a in [[b, b]] %}{% endfor %}", STORED),
            ("{% for a, c in [(b, [b, b])] %}{% endfor %}", STORED),
            ("{% for a in [b] | zip([b]) %}{% endfor %}", STORED),
            ("{% for a in b recursive %}{{ loop(a) }}{% endfor %}", MACRO),
            ("{% macro m(a) %}{% endmacro %}", MACRO),
            ("{% call m() %}{% endcall %}", MACRO),
            ("{# x #}{%+ macro m(a) %}{% endmacro %}", MACRO),
            ("{% raw %}{% endraw %}{% macro m(a) %}{% endmacro %}", MACRO),
        ] {
            assert_eq!(refusal(text), Some(why), "{text}");
        }
    }
}
