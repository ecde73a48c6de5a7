//! What Jinja has and minijinja lacks, and a `default` that knows JSON's null.

use minijinja::{Environment, Value, value::Rest};

/// Characters that `truncate` keeps when it is not told.
const TRUNCATE: usize = 255;

pub fn install(engine: &mut Environment<'_>) {
    engine.add_filter("default", default);
    engine.add_filter("d", default);
    engine.add_filter("truncate", |text: &str, length: Option<usize>, rest: Rest<Value>| truncate(text, length, &rest));
    engine.add_filter("wordcount", |text: &str| text.split_whitespace().count());
    engine.add_filter("slug", slug);
}

/// A null counts as missing: an input that was not given and a page without a
/// title are null, and a recipe that says `default` means them.
fn default(value: &Value, other: Option<Value>, falsy_too: Option<bool>) -> Value {
    let missing = value.is_undefined() || value.is_none() || (falsy_too == Some(true) && !value.is_true());
    if missing { other.unwrap_or_else(|| Value::from("")) } else { value.clone() }
}

/// `truncate(length=255, killwords=false, end="...")`, Jinja's arguments; the
/// result has at most `length` characters, the end included.
fn truncate(text: &str, length: Option<usize>, rest: &[Value]) -> String {
    let length = length.unwrap_or(TRUNCATE);
    let cut_words = rest.first().is_some_and(Value::is_true);
    let end = rest.get(1).map_or_else(|| "...".to_owned(), ToString::to_string);
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let kept = match kept.rfind(char::is_whitespace) {
        Some(space) if !cut_words => &kept[..space],
        _ => &kept,
    };
    format!("{}{end}", kept.trim_end())
}

/// `Site Audit: Ünder` becomes `site-audit-under`; what has no plain letter is left out.
fn slug(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .map(|word| word.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    words.join("-")
}
