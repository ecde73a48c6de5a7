//! Refuses templates that could make a small value hold itself many times over.
//!
//! The engine charges for texts before it makes them, but a list that holds another
//! list twice costs it next to nothing, sixty times in a row as well, and writing it
//! out would fill any memory. So a template's variables hold texts, numbers and
//! pieces of what it was given; a list is made where it is used.

use super::tokens::Tag;

const MACRO: &str = "macros and recursive loops are not offered; loop over a list, or use a Transform node";
const STORED: &str = "a variable cannot keep a list or mapping that is made of others; make it where it is used, or in a \
                      Transform node";
const JOINED: &str = "`~` joins texts, and one side may be a list here; write the parts side by side, or use `join`";
const SLICED: &str =
    "a piece is taken of a list that is repeated in the same expression; set a variable to the list first";
/// Filters that make lists of lists.
const PAIRING: [&str; 4] = ["zip", "chain", "batch", "slice"];
const MAKERS: [&str; 2] = ["dict", "namespace"];
const KEYWORDS: [&str; 8] = ["in", "is", "and", "or", "not", "if", "else", "recursive"];

/// Why the code of a template or expression is refused.
pub fn refusal(tags: &[Tag<'_>]) -> Option<&'static str> {
    let mut known = Known::default();
    tags.iter().find_map(|tag| match tag {
        Tag::Print(words) => known.expression(words),
        Tag::Statement(words) => known.statement(words),
    })
}

/// Variables so far.
#[derive(Default)]
struct Known<'a> {
    namespaces: Vec<&'a str>,
    /// May be a list that was added up or repeated.
    sums: Vec<&'a str>,
}

impl<'a> Known<'a> {
    fn expression(&self, words: &[&'a str]) -> Option<&'static str> {
        let mixed = words.contains(&"~") && (depth(words) > 0 || words.contains(&"*") || self.has_sum(words));
        if mixed { Some(JOINED) } else { slices_repeated(words).then_some(SLICED) }
    }

    fn statement(&mut self, words: &[&'a str]) -> Option<&'static str> {
        let (&first, rest) = words.split_first()?;
        match first {
            "macro" | "call" => Some(MACRO),
            "set" | "with" => self.assignment(first, rest),
            "for" => self.loop_over(rest),
            _ => self.expression(rest),
        }
    }

    fn assignment(&mut self, kind: &str, rest: &[&'a str]) -> Option<&'static str> {
        let at = rest.iter().position(|word| *word == "=")?;
        let (targets, value) = (&rest[..at], &rest[at + 1..]);
        let pairs = value.iter().any(|word| PAIRING.iter().any(|filter| word.contains(filter)));
        let bare_tuple = kind == "set" && outermost(value, ",");
        if depth(value) > 0 || pairs || bare_tuple || self.has_namespace(value) || bare_maker(value) {
            return Some(STORED);
        }
        let targets =
            if kind == "set" { targets.first().copied().into_iter().collect() } else { names_before_equals(rest) };
        if value.first() == Some(&"namespace") {
            self.namespaces.extend(&targets);
        }
        if value.iter().any(|word| ["*", "+"].contains(word)) || self.has_sum(value) {
            self.sums.extend(&targets);
        }
        self.expression(value)
    }

    fn loop_over(&mut self, rest: &[&'a str]) -> Option<&'static str> {
        let at = rest.iter().position(|word| *word == "in")?;
        let (targets, list) = (&rest[..at], &rest[at + 1..]);
        if list.last() == Some(&"recursive") {
            return Some(MACRO);
        }
        let deepest = if targets.contains(&",") { 2 } else { 1 };
        let made = depth(list);
        let pairs = list.iter().any(|word| PAIRING.iter().any(|filter| word.contains(filter)));
        if made > deepest || (made > 0 && pairs) || self.has_namespace(list) || bare_maker(list) {
            return Some(STORED);
        }
        if list.iter().any(|word| ["*", "+"].contains(word)) || self.has_sum(list) {
            self.sums.extend(targets.iter().copied().filter(|word| is_name(word)));
        }
        self.expression(list)
    }

    fn has_sum(&self, words: &[&str]) -> bool {
        roots(words).any(|(_, name)| self.sums.contains(&name))
    }

    /// A namespace as a whole, which could be put into itself.
    fn has_namespace(&self, words: &[&str]) -> bool {
        roots(words).any(|(at, name)| self.namespaces.contains(&name) && words.get(at + 1) != Some(&"."))
    }
}

/// A name, not a number, string or sign.
fn is_name(word: &str) -> bool {
    word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_')
}

/// Names that are not fields, filters, arguments or keywords, with their places.
fn roots<'w, 'a>(words: &'w [&'a str]) -> impl Iterator<Item = (usize, &'a str)> + use<'w, 'a> {
    words.iter().enumerate().filter_map(move |(at, word)| {
        let before = at.checked_sub(1).and_then(|before| words.get(before)).copied();
        let constant = ["true", "false", "none", "True", "False", "None"].contains(word) || KEYWORDS.contains(word);
        let argument = words.get(at + 1) == Some(&"=");
        let own = is_name(word) && !constant && !argument && !matches!(before, Some("." | "|"));
        own.then_some((at, *word))
    })
}

/// How deep lists and mappings that hold names are written within one another.
fn depth(words: &[&str]) -> usize {
    let mut deepest = 0;
    // Each open bracket: whether it makes a list, and how deep what it holds is.
    let mut open: Vec<(bool, usize, bool)> = Vec::new();
    let named: Vec<usize> = roots(words).map(|(at, _)| at).collect();
    for (at, word) in words.iter().enumerate() {
        match *word {
            "[" | "{" | "(" => open.push((makes(words, at), 0, false)),
            "]" | "}" | ")" => {
                let Some((makes, inner, has_names)) = open.pop() else { continue };
                let own = inner + usize::from(makes && (has_names || inner > 0));
                deepest = deepest.max(own);
                if let Some((_, outer, outer_names)) = open.last_mut() {
                    *outer = own.max(*outer);
                    *outer_names |= has_names;
                }
            }
            _ if named.contains(&at) => {
                if let Some((_, _, has_names)) = open.last_mut() {
                    *has_names = true;
                }
            }
            _ => {}
        }
    }
    deepest
}

/// Whether the bracket begins a list, mapping or tuple, or the arguments of one.
fn makes(words: &[&str], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| words.get(before)).copied();
    let value = before.is_some_and(|word| {
        (is_name(word) && !KEYWORDS.contains(&word)) || matches!(word, "]" | ")" | "}") || word.starts_with(['"', '\''])
    });
    match words[at] {
        "{" => true,
        "[" => !value,
        _ if before.is_some_and(|word| MAKERS.contains(&word)) => true,
        _ => !value && outermost(&words[at + 1..], ","),
    }
}

/// Whether the sign stands outside of all brackets, before the one that is open closes.
fn outermost(words: &[&str], sign: &str) -> bool {
    let mut level = 0_usize;
    for word in words {
        match *word {
            "[" | "{" | "(" => level += 1,
            "]" | "}" | ")" if level == 0 => return false,
            "]" | "}" | ")" => level -= 1,
            word if word == sign && level == 0 => return true,
            _ => {}
        }
    }
    false
}

/// Whether a piece is taken of what is written behind a `*`: the engine would pass over all
/// that comes before the piece, one by one and unpaid.
fn slices_repeated(words: &[&str]) -> bool {
    let Some(star) = words.iter().position(|word| *word == "*") else { return false };
    (star..words.len()).any(|at| words[at] == "[" && outermost(&words[at + 1..], ":"))
}

/// `dict` or `namespace` under another name.
fn bare_maker(words: &[&str]) -> bool {
    roots(words).any(|(at, name)| MAKERS.contains(&name) && words.get(at + 1) != Some(&"("))
}

fn names_before_equals<'a>(words: &[&'a str]) -> Vec<&'a str> {
    words.windows(2).filter(|pair| pair[1] == "=" && is_name(pair[0])).map(|pair| pair[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::template::tokens;

    fn refusal(text: &str, is_expression: bool) -> Option<&'static str> {
        super::refusal(&tokens::read(text, is_expression).unwrap())
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
            "{{ pages[: n * 2] | length }}{{ n * 2 }}{% set total = a.n + b.n %}{% set total = total + total %}",
            "{% if a[0] == b[1:] and c in ['x', 'y'] %}{% endif %}",
            "{% set total = inputs.weeks * inputs.posts %}{{ total }} posts",
        ] {
            assert_eq!(refusal(text, false), None, "{text}");
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
            ("{% set n = namespace(x=1) %}{% for m in [n] %}{% endfor %}", STORED),
            ("{#} {% raw %} #}{% set a = 'x' %}{% set a = [a, a] %}{{ a ~ '' }}", STORED),
            ("{{ {'}}': 1} }}{% set a = [a, a] %}", STORED),
            ("{{ (a * 9)[1:] | length }}", SLICED),
            ("{% for x in (a * n)[2:3] %}{% endfor %}", SLICED),
            ("{% with a = [a, a] %}{% endwith %}", STORED),
            ("{% for a in [[b, b]] %}{% endfor %}", STORED),
            ("{% for a, c in [(b, [b, b])] %}{% endfor %}", STORED),
            ("{% for a in [b] | zip([b]) %}{% endfor %}", STORED),
            ("{% for a in b recursive %}{{ loop(a) }}{% endfor %}", MACRO),
            ("{% macro m(a) %}{% endmacro %}", MACRO),
            ("{% call m() %}{% endcall %}", MACRO),
            ("{# x #}{%+ macro m(a) %}{% endmacro %}", MACRO),
            ("{% raw %}{% endraw %}{% macro m(a) %}{% endmacro %}", MACRO),
            ("{{ [a, a] ~ '' }}", JOINED),
            ("{{ a * 9 ~ '' }}", JOINED),
            ("{% set a = a + x %}{{ a ~ '' }}", JOINED),
            ("{% set a = x * 9 %}{% set b = a %}{% if b ~ '' %}{% endif %}", JOINED),
            ("{% for b in a * 9 %}{{ b ~ '' }}{% endfor %}", JOINED),
        ] {
            assert_eq!(refusal(text, false), Some(why), "{text}");
        }
        assert_eq!(refusal("[a, a] ~ ''", true), Some(JOINED));
        assert_eq!(refusal("[a, a] | length > 1", true), None);
    }
}
