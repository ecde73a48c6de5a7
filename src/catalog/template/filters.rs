//! What Jinja has and minijinja lacks, and a `default` that knows JSON's null.

use std::sync::LazyLock;

use minijinja::{
    Environment, Error, ErrorKind, State, UndefinedBehavior, Value,
    value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args},
};

use super::{
    Budget,
    engine::{FUEL, MAX_OUTPUT},
    tokens,
};

/// Characters that `truncate` keeps when it is not told.
const TRUNCATE: usize = 255;

/// What is written costs a step for so many bytes: each is walked to, counted and copied.
const BYTES_A_STEP: u64 = 16;
/// Spaces of an indent that `tojson` may be told.
const MAX_INDENT: i64 = 16;

/// Filters that write out whatever they are given.
const WRITERS: [&str; 6] = ["tojson", "string", "join", "pprint", "format", "urlencode"];

/// The engine's own filters, before [`install`].
static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut plain = Environment::new();
    plain.set_undefined_behavior(UndefinedBehavior::Strict);
    plain.set_fuel(Some(FUEL));
    plain
});

pub fn install(engine: &mut Environment<'_>) {
    engine.add_filter(tokens::KEPT, kept_value);
    for name in WRITERS {
        engine.add_filter(name, move |state: &State<'_, '_>, args: Rest<ValueOrKwargs>| {
            write_out(state, name, &args.into_values())
        });
    }
    engine.set_formatter(|out, state, value| {
        pay_to_write(state, within(std::slice::from_ref(value))?)?;
        minijinja::escape_formatter(out, state, value)
    });
    engine.add_filter("sum", sum);
    engine.add_filter("default", default);
    engine.add_filter("d", default);
    engine.add_filter("truncate", truncate);
    engine.add_filter("striptags", |text: &str| minijinja_contrib::filters::striptags(text.to_owned()));
    engine.add_filter("wordcount", |text: &str| text.split_whitespace().count());
    engine.add_filter("slug", slug);
}

/// The filter itself pays for a list by what it has written, which is too late.
fn write_out(state: &State<'_, '_>, name: &str, args: &[Value]) -> Result<Value, Error> {
    pay_to_write(state, within(args)?)?;
    // Texts are copied by the filter, up to six bytes for one.
    let texts = args.iter().filter_map(Value::as_str).map(str::len).sum::<usize>();
    if texts > MAX_OUTPUT {
        return Err(too_long());
    }
    pay_to_write(state, texts)?;
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
        return Err(too_long());
    }
    PLAIN.empty_state().apply_filter(name, args)
}

/// Whether the filter is told to indent by more than a reader needs: it writes first, and pays afterwards.
fn is_wide(arg: &Value) -> bool {
    let indent = Kwargs::try_from(arg.clone()).ok().and_then(|named| named.get::<Option<i64>>("indent").ok().flatten());
    indent.is_some_and(|indent| indent > MAX_INDENT)
}

/// `sum` of numbers; adding lists or texts up would grow them unpaid.
fn sum(args: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let args = args.into_values();
    let start = args.iter().any(|arg| Kwargs::try_from(arg.clone()).is_ok_and(|named| named.has("start")));
    let positional = args.iter().skip(1).any(|arg| arg.as_object().is_some() && !arg.is_kwargs());
    if start || positional {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "`sum` adds numbers and takes no `start`; add it behind it",
        ));
    }
    PLAIN.empty_state().apply_filter("sum", &args)
}

/// Counts what lists and mappings would be as text, without making it.
fn within(values: &[Value]) -> Result<usize, Error> {
    let lists = values.iter().filter(|value| value.as_object().is_some());
    let budget = Budget::of(MAX_OUTPUT);
    for list in lists {
        budget.take_value(list).map_err(|_| too_long())?;
    }
    Ok(MAX_OUTPUT - budget.left())
}

/// The filters of [`PLAIN`] pay from a tank of their own, full each time: what they write is
/// paid for here, before the work.
fn pay_to_write(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES_A_STEP)
}

/// Makes a value that gets a name whole, and pays for all that it would be when written out:
/// lists that are added up, repeated or cut are views of one another, without end when
/// that happens in a loop.
fn kept_value(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        pay_to_write(state, within(std::slice::from_ref(value))?)?;
        return Ok(value.clone());
    }
    let mut items = Vec::new();
    for item in value.try_iter()? {
        state.consume_fuel(1)?;
        items.push(item);
    }
    let whole = Value::from(items);
    pay_to_write(state, within(std::slice::from_ref(&whole))?)?;
    Ok(whole)
}

pub fn too_long() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("the text would be longer than {MAX_OUTPUT} bytes"))
}

/// A null counts as missing: an input that was not given and a page without a
/// title are null, and a recipe that says `default` means them.
fn default(value: &Value, other: Option<Value>, falsy_too: Option<bool>) -> Value {
    let missing = value.is_undefined() || value.is_none() || (falsy_too == Some(true) && !value.is_true());
    if missing { other.unwrap_or_else(|| Value::from("")) } else { value.clone() }
}

/// Jinja's `truncate(length=255, killwords=false, end="...")`, in order or by name;
/// the result has at most `length` characters, the end included. Null is empty.
fn truncate(args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args = args.into_values();
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
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric())
        .map(|word| word.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect())
        .filter(|word: &String| !word.is_empty())
        .collect();
    words.join("-")
}
