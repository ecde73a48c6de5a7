//! Style sheets and `style` attributes: they paint, and load nothing.

/// What loads something. All of them have a sign that is not written without meaning: names
/// alone would be found in classes and texts.
const LOADS: [&str; 8] = ["url(", "src(", "image(", "image-set(", "cross-fade(", "element(", "expression(", "@import"];

/// The style without what it would load: the function loses its meaning, and with it the
/// declaration. A style that hides one in escapes is left out.
pub fn harmless(css: &str) -> String {
    let mut css = css.to_owned();
    for name in LOADS {
        css = without(&css, name);
    }
    let read = unescaped(&css).to_ascii_lowercase();
    let is_hidden = LOADS.iter().any(|name| read.contains(name));
    // The second would end the element.
    if is_hidden || css.contains("</") { String::new() } else { css }
}

/// Each occurrence, whatever its case, becomes a function or rule that does not exist.
fn without(css: &str, name: &str) -> String {
    let lower = css.to_ascii_lowercase();
    let mut out = String::with_capacity(css.len());
    let mut done = 0;
    for (at, found) in lower.match_indices(name) {
        out.push_str(css.get(done..at).unwrap_or_default());
        out.push_str(if found.ends_with('(') { "none(" } else { "@none" });
        done = at + found.len();
    }
    out.push_str(css.get(done..).unwrap_or_default());
    out
}

/// As a browser reads it: `\75 rl(` is `url(`.
fn unescaped(css: &str) -> String {
    let mut out = String::with_capacity(css.len());
    let mut rest = css.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let mut code = String::new();
        while code.len() < 6
            && let Some(digit) = rest.next_if(char::is_ascii_hexdigit)
        {
            code.push(digit);
        }
        match u32::from_str_radix(&code, 16).ok().and_then(char::from_u32) {
            Some(escaped) => {
                out.push(escaped);
                rest.next_if(char::is_ascii_whitespace);
            }
            // A line that goes on, or the sign itself.
            None => out.extend(rest.next_if(|next| code.is_empty() && *next != '\n')),
        }
    }
    out
}
