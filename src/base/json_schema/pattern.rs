//! Why a regular expression of a schema is not taken, in words for its author.

/// Characters of a pattern that a message repeats.
const SHOWN: usize = 100;

/// To be put after the name of the key.
pub fn refusal(pattern: &str, max_bytes: usize) -> String {
    let mut shown: String = pattern.chars().take(SHOWN).collect();
    if shown.len() < pattern.len() {
        shown.push_str("...");
    }
    format!("has the pattern `{shown}`, which {}", reason(pattern, max_bytes))
}

fn reason(pattern: &str, max_bytes: usize) -> String {
    let too_large = format!(
        "is larger than {max_bytes} bytes once it is compiled; use smaller numbers in braces, or match less of the text"
    );
    match regex::RegexBuilder::new(pattern).size_limit(max_bytes).build() {
        // It became too large when it was brought to the meaning that it has in JavaScript.
        Ok(_) | Err(regex::Error::CompiledTooBig(_)) => too_large,
        Err(error) => of_syntax(&error.to_string()),
    }
}

/// The engine's message shows the pattern over several lines and says at its end what is wrong.
fn of_syntax(message: &str) -> String {
    let why = message.rsplit_once("error: ").map_or(message, |(_, why)| why).trim();
    if why.contains("look-around") {
        return "uses look-around, which is not supported; write it without `(?=`, `(?!`, `(?<=` and `(?<!`".to_owned();
    }
    if why.contains("backreference") {
        return r"uses backreferences, which are not supported; write it without `\1` and its like".to_owned();
    }
    let why: Vec<&str> = why.split_whitespace().collect();
    format!("is not a valid regular expression: {}; write a valid one, as in JavaScript", why.join(" "))
}
