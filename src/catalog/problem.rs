//! What is wrong with a document: where, and what to do about it.

use serde::Serialize;

/// One fault of a document or of a task's inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `recipe.workflow.nodes[2].depends_on[0]`; empty for the document as a whole.
    pub path: String,
    pub message: String,
    /// From 1. `None` where the value did not come from a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// From 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl Problem {
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), line: None, column: None }
    }

    #[must_use]
    pub fn at(mut self, mark: Mark) -> Self {
        self.line = Some(mark.line);
        self.column = Some(mark.column);
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, " (line {line}, column {column})"),
            _ => Ok(()),
        }
    }
}

/// A place in the source text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark {
    pub line: u32,
    pub column: u32,
}

/// Everything that was found out about a refused document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, thiserror::Error)]
#[error("{}", self.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Report {
    /// Never empty when the report stands for a refusal. In the order of the text.
    pub problems: Vec<Problem>,
    /// Faults that do not stand in the way.
    pub warnings: Vec<Problem>,
}

/// A way from the root of a document to a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path<'a>(pub Vec<Step<'a>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    #[must_use]
    pub fn key(&self, key: &'a str) -> Self {
        self.then(Step::Key(key))
    }

    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.then(Step::Index(index))
    }

    fn then(&self, step: Step<'a>) -> Self {
        let mut longer = self.clone();
        longer.0.push(step);
        longer
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// `; did you mean ...?` with the nearest of the names, or nothing.
#[must_use]
pub fn suggestion<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let limit = (wrong.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (distance(&wrong.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

/// As [`suggestion`], with the names that there are: the end of a message.
#[must_use]
pub fn choices(wrong: &str, names: &[&str]) -> String {
    match suggestion(wrong, names.iter().copied()) {
        near if near.is_empty() => format!("; there are {}", names.join(", ")),
        near => format!("{near} There are {}", names.join(", ")),
    }
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let cost = (diagonal + usize::from(from != *to)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_only_what_is_near() {
        assert_eq!(suggestion("dependson", ["depends_on", "description"]), "; did you mean `depends_on`?");
        assert_eq!(suggestion("webcrawler", ["WebCrawler"]), "; did you mean `WebCrawler`?");
        assert_eq!(suggestion("colour", ["depends_on"]), "");
        assert_eq!(choices("colour", &["a", "b"]), "; there are a, b");
        assert_eq!(choices("iid", &["id", "b"]), "; did you mean `id`? There are id, b");
    }

    #[test]
    fn shows_a_path_as_people_write_it() {
        let path = Path::default().key("recipe").key("nodes").index(2).key("id");
        assert_eq!(path.to_string(), "recipe.nodes[2].id");
    }
}
