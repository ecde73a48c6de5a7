//! What Jinja has and minijinja lacks, and filters of minijinja's that pay before they work.

use minijinja::{
    Environment, Error, ErrorKind, State, Value,
    value::{Kwargs, Rest, ValueOrKwargs, from_args},
};

use super::{
    charges,
    limits::MAX_OUTPUT,
    plain::{LOOKS, PLAIN},
};

/// Characters that `truncate` keeps when it is not told.
const TRUNCATE: usize = 255;
/// Spaces of an indent that `tojson` may be told.
const MAX_INDENT: i64 = 16;

/// Filters that write out whatever they are given.
const WRITERS: [&str; 6] = ["tojson", "string", "join", "pprint", "format", "urlencode"];
/// Filters that compare what they are given with one another.
const SORTERS: [&str; 6] = ["sort", "unique", "groupby", "dictsort", "min", "max"];
/// Filters that hold every item against their arguments.
const SELECTORS: [&str; 4] = ["select", "reject", "selectattr", "rejectattr"];

pub fn install(engine: &mut Environment<'_>) {
    for name in WRITERS {
        engine.add_filter(name, move |state: &State<'_, '_>, args: Rest<ValueOrKwargs>| {
            write_out(state, name, &args.into_values())
        });
    }
    for name in SORTERS {
        engine.add_filter(name, move |state: &State<'_, '_>, args: Rest<ValueOrKwargs>| {
            compare_all(state, name, &args.into_values())
        });
    }
    for name in SELECTORS {
        engine.add_filter(name, move |state: &State<'_, '_>, args: Rest<ValueOrKwargs>| {
            select(state, name, &args.into_values())
        });
    }
    engine.set_formatter(|out, state, value| {
        charges::written(state, std::slice::from_ref(value))?;
        minijinja::escape_formatter(out, state, value)
    });
    engine.add_filter("sum", sum);
    engine.add_filter("default", default);
    engine.add_filter("d", default);
    engine.add_filter("truncate", truncate);
    engine.add_filter("striptags", |state: &State<'_, '_>, text: &str| {
        charges::text(state, text).map(|()| minijinja_contrib::filters::striptags(text.to_owned()))
    });
    engine.add_filter("wordcount", |state: &State<'_, '_>, text: &str| {
        charges::text(state, text).map(|()| text.split_whitespace().count())
    });
    engine.add_filter("slug", |state: &State<'_, '_>, text: &str| charges::text(state, text).map(|()| slug(text)));
}

/// The filter itself pays for a list by what it has written, which is too late.
fn write_out(state: &State<'_, '_>, name: &str, args: &[Value]) -> Result<Value, Error> {
    charges::written(state, args)?;
    // Texts are copied by the filter, up to six bytes for one.
    let texts = args.iter().filter_map(Value::as_str).map(str::len).sum::<usize>();
    if texts > MAX_OUTPUT {
        return Err(charges::too_long());
    }
    charges::written_bytes(state, texts)?;
    if args.iter().any(is_wide) {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("an indent is at most {MAX_INDENT}")));
    }
    let between = match args {
        [items, sign, ..] if name == "join" => {
            items.len().unwrap_or(0).saturating_mul(sign.as_str().map_or(0, str::len))
        }
        _ => 0,
    };
    if between > MAX_OUTPUT {
        return Err(charges::too_long());
    }
    PLAIN.empty_state().apply_filter(name, args)
}

/// The engine charges for each comparison, but not by the size of what is compared.
fn compare_all(state: &State<'_, '_>, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(list) = args.first() else { return PLAIN.empty_state().apply_filter(name, args) };
    let count = list.len().unwrap_or_default();
    let by = match args.get(1) {
        Some(attribute) if name == "groupby" && attribute.as_str().is_some() => Some(attribute.clone()),
        _ => args.iter().find_map(|arg| named(arg, "attribute")),
    };
    let keys = match by {
        Some(attribute) if charges::is_list(list) => attributes(list, attribute)?,
        _ => list.clone(),
    };
    let rounds = if matches!(name, "min" | "max") { 1 } else { u64::from(usize::BITS - count.leading_zeros()) };
    charges::compared_times(state, &[keys], rounds)?;
    PLAIN.empty_state().apply_filter(name, args)
}

/// The engine charges for each item, but not by the size of what it is held against.
fn select(state: &State<'_, '_>, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let [list, told @ ..] = args {
        let count = list.len().unwrap_or(1) as u64;
        charges::for_items(state, std::slice::from_ref(list))?;
        let (tested, test) = match (name.ends_with("attr"), told) {
            (true, [attribute, test, ..]) => (attributes(list, attribute.clone())?, Some(test)),
            (false, [test, ..]) => (list.clone(), Some(test)),
            _ => (list.clone(), None),
        };
        // A test can take what it is given for a text, and write it out.
        if test.is_some_and(|test| !test.as_str().is_some_and(|test| LOOKS.contains(&test))) {
            charges::compared(state, &[tested])?;
        }
        charges::compared_times(state, told, count)?;
        told.iter().filter_map(Value::as_str).try_for_each(|text| charges::text_times(state, text, count))?;
    }
    PLAIN.empty_state().apply_filter(name, args)
}

/// What the items have under a name; nothing for those that do not have it.
fn attributes(list: &Value, attribute: Value) -> Result<Value, Error> {
    let told = Kwargs::from_iter([("attribute", attribute), ("default", Value::from(()))]).into();
    PLAIN.empty_state().apply_filter("map", &[list.clone(), told])
}

/// A named argument.
fn named(arg: &Value, name: &str) -> Option<Value> {
    let named = Kwargs::try_from(arg.clone()).ok()?;
    named.get::<Option<Value>>(name).ok().flatten()
}

/// Whether the filter is told to indent by more than a reader needs: it writes first, and pays afterwards.
fn is_wide(arg: &Value) -> bool {
    named(arg, "indent").and_then(|indent| i64::try_from(indent).ok()).is_some_and(|indent| indent > MAX_INDENT)
}

/// `sum` of numbers; adding lists or texts up would grow them unpaid.
fn sum(state: &State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let start = args.iter().any(|arg| named(arg, "start").is_some());
    let positional = args.iter().skip(1).any(|arg| arg.as_object().is_some() && !arg.is_kwargs());
    if start || positional {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "`sum` adds numbers and does not take `start`; add the value after the call",
        ));
    }
    charges::for_items(state, &args)?;
    PLAIN.empty_state().apply_filter("sum", &args)
}

/// A null counts as missing: an input that was not given and a page without a
/// title are null, and a recipe that says `default` means them.
fn default(value: &Value, other: Option<Value>, falsy_too: Option<bool>) -> Value {
    let missing = value.is_undefined() || value.is_none() || (falsy_too == Some(true) && !value.is_true());
    if missing { other.unwrap_or_else(|| Value::from("")) } else { value.clone() }
}

/// Jinja's `truncate(length=255, killwords=false, end="...")`, in order or by name;
/// the result has at most `length` characters, the end included. Null is empty.
fn truncate(state: &State<'_, '_>, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
    args.first().and_then(Value::as_str).map_or(Ok(()), |text| charges::text(state, text))?;
    let (text, length, cut_words, end, named): (&Value, Option<usize>, Option<bool>, Option<String>, Kwargs) =
        from_args(&args)?;
    if text.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    let length = length.or(named.get("length")?).unwrap_or(TRUNCATE);
    let cut_words = cut_words.or(named.get("killwords")?).unwrap_or(false);
    let end = end.or(named.get("end")?).unwrap_or_else(|| "...".to_owned());
    named.get::<Option<usize>>("leeway")?;
    named.assert_all_used()?;
    if text.as_object().is_some() {
        // A list can hold another many times over: writing it out is not bounded here.
        return Err(Error::new(ErrorKind::InvalidOperation, "truncate takes a text; use `tojson` or `join` before it"));
    }
    let text = if text.is_none() { String::new() } else { text.to_string() };
    if text.chars().count() <= length {
        return Ok(text);
    }
    let kept: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let kept = match kept.rfind(char::is_whitespace) {
        Some(space) if !cut_words => &kept[..space],
        _ => &kept,
    };
    Ok(format!("{}{end}", kept.trim_end()))
}

/// `Site Audit: Ünder` becomes `site-audit-under`; what has no plain letter is left out.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        let start = slug.len();
        slug.extend(word.chars().flat_map(char::to_lowercase).filter(char::is_ascii_alphanumeric));
        if start > 0 && slug.len() > start {
            slug.insert(start, '-');
        }
    }
    slug
}
