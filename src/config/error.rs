//! Why a configuration is refused.

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The variable, or the key and its file.
    pub name: String,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is wrong{}", list(.0))]
pub struct ConfigError(pub Vec<Problem>);

impl ConfigError {
    pub(super) fn one(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![Problem { name: name.into(), message: message.into() }])
    }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |text, p| format!("{text}\n  {}: {}", p.name, p.message))
}
