//! Names of output files: `audit_{website_url}_{timestamp}.md`.

use super::problem::suggestion;

const MAX_CHARS: usize = 120;

/// What stands for itself in braces, besides the recipe's inputs.
const FACTS: [(&str, &str); 7] = [
    ("timestamp", "{{ runtime.now[:19] | replace('-', '') | replace(':', '') }}"),
    ("date", "{{ runtime.now[:10] }}"),
    ("task_id", "{{ runtime.task_id }}"),
    ("agency_id", "{{ runtime.agency_id }}"),
    ("team_id", "{{ runtime.team_id }}"),
    ("agent_instance_id", "{{ runtime.agent_instance_id }}"),
    ("recipe_id", "{{ runtime.recipe_id }}"),
];

/// The pattern as a template. One with `{{` already is one, and is left alone.
///
/// # Errors
/// Names what stands in braces and is no input or fact.
pub fn to_template(pattern: &str, inputs: &[&str]) -> Result<String, String> {
    if pattern.contains("{{") || pattern.contains("{%") {
        return Ok(pattern.to_owned());
    }
    let mut template = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else {
            return Err(format!("`{{{after}` has no closing brace"));
        };
        template.push_str(before);
        match FACTS.iter().find(|(fact, _)| *fact == name) {
            // An input of the same name is nearer to the author.
            _ if inputs.contains(&name) => {
                template.push_str("{{ inputs.");
                template.push_str(name);
                template.push_str(" | default('') }}");
            }
            Some((_, fact)) => template.push_str(fact),
            None => {
                let known = FACTS.iter().map(|(fact, _)| *fact).chain(inputs.iter().copied());
                let near = suggestion(name, known);
                return Err(format!("`{{{name}}}` is neither an input nor one of timestamp, date, task_id{near}"));
            }
        }
        rest = behind;
    }
    template.push_str(rest);
    Ok(template)
}

/// A rendered name made safe for every file system: no way out of a folder, no
/// scheme of a web address, at most 120 characters with the ending kept.
#[must_use]
pub fn clean(rendered: &str) -> String {
    let mut name = String::new();
    for c in rendered.replace("https://", "").replace("http://", "").chars() {
        let c = if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
        if !(matches!(c, '-' | '.') && name.ends_with(['-', '.'])) {
            name.push(c);
        }
    }
    let name = name.replace("-_", "_").replace("-.", ".");
    let name = name.trim_matches(['.', '-']);
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if ending.len() <= 10 => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    let stem: String = stem.chars().take(MAX_CHARS - ending.chars().count()).collect();
    if stem.is_empty() { format!("output{ending}") } else { format!("{stem}{ending}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_become_a_template() {
        let template = to_template("a_{site}_{date}.md", &["site"]).unwrap();
        assert_eq!(template, "a_{{ inputs.site | default('') }}_{{ runtime.now[:10] }}.md");
        assert_eq!(to_template("{{ inputs.a }}.md", &[]).unwrap(), "{{ inputs.a }}.md");
        assert!(to_template("a_{websit_url}.md", &["website_url"]).unwrap_err().contains("website_url"));
        assert!(to_template("a_{site.md", &["site"]).is_err());
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        assert_eq!(clean("audit_https://example.com/_20260101T000000.md"), "audit_example.com_20260101T000000.md");
        assert_eq!(clean("../../etc/passwd"), "etc-passwd");
        assert_eq!(clean("///"), "output");
        assert_eq!(clean(&format!("{}.md", "x".repeat(300))).len(), MAX_CHARS);
        assert!(!clean("a\r\nb\"; c.md").contains(['\r', '\n', '"', ';']));
    }

    proptest::proptest! {
        #[test]
        fn no_separator_survives(text in "\\PC{0,300}") {
            let name = clean(&text);
            proptest::prop_assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']) && name.chars().count() <= MAX_CHARS);
            proptest::prop_assert!(!name.starts_with('.'));
        }
    }
}
