//! A plain answer: says that no model was asked, and repeats what the prompt lists.

/// Points that are repeated, and the length of each, in characters.
const MAX_POINTS: usize = 8;
const MAX_POINT: usize = 160;

/// A few lines of Markdown made of the prompt alone.
pub fn of(prompt: &str) -> String {
    let words = prompt.split_whitespace().count();
    let lines = prompt.lines().filter(|line| !line.trim().is_empty()).count();
    let mut text = format!(
        "This is the scripted provider's answer; no model was asked. The request has {words} words in {lines} lines"
    );
    match opening(prompt) {
        Some(opening) => text.push_str(&format_args!(" and begins: {opening}").to_string()),
        None => text.push('.'),
    }
    let points: Vec<_> = prompt.lines().filter_map(point).take(MAX_POINTS).collect();
    if !points.is_empty() {
        text.push_str("\n\nPoints in the request:\n");
        for point in points {
            text.push_str("\n- ");
            text.push_str(&point);
        }
    }
    text
}

/// The first sentence, or as much of it as is worth repeating.
pub fn opening(prompt: &str) -> Option<String> {
    let line = prompt.lines().map(str::trim).find(|line| !line.is_empty())?;
    let end = line.find(". ").map_or(line.len(), |at| at + 1);
    Some(clip(&line[..end], MAX_POINT))
}

/// A list item's text.
fn point(line: &str) -> Option<String> {
    let line = line.trim();
    let numbered = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")).or_else(|| {
        (numbered.len() < line.len()).then(|| numbered.strip_prefix(". ").or_else(|| numbered.strip_prefix(") ")))?
    })?;
    let rest = rest.trim();
    (!rest.is_empty()).then(|| clip(rest, MAX_POINT))
}

/// At most so many characters, with dots where something is left out.
pub fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max { text.to_owned() } else { text.chars().take(max).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_repeats_the_lists_of_the_prompt() {
        let text = of("Audit this site. Be kind.\n\n- /missing: 404\n* no title\n2) slow\n3 apples\nplain line\n");
        assert_eq!(
            text,
            "This is the scripted provider's answer; no model was asked. The request has 17 words in 6 lines and \
             begins: Audit this site.\n\nPoints in the request:\n\n- /missing: 404\n- no title\n- slow"
        );
    }

    #[test]
    fn an_empty_prompt_and_a_long_one_have_answers_too() {
        assert!(of("").ends_with("0 words in 0 lines."));
        let text = of(&format!("- é{}", "x".repeat(500)));
        assert!(text.ends_with("...") && text.len() < 600, "{text}");
        let many = "- item\n".repeat(100);
        assert_eq!(of(&many).matches("\n- ").count(), MAX_POINTS);
    }
}
