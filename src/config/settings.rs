//! Gathers the settings as text from the defaults, the file and the environment, and refuses unknown ones.

use std::{collections::BTreeMap, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider as Layer,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use super::{
    ConfigError, Problem,
    keys::{self, KEYS, Key, PREFIX, Shown},
};

const FILE: &str = "teamai.toml";

/// One setting in force.
#[derive(Clone)]
pub struct Setting {
    /// As written; a secret in the clear.
    pub value: String,
    /// Names where it comes from: `default`, a variable, or the key and its file.
    pub source: String,
}

/// A setting may hold a secret, so that only its origin is printed.
impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "set by {}", self.source)
    }
}

/// The settings in force, by path, as text.
#[derive(Debug, Clone)]
pub struct Settings(pub(super) BTreeMap<String, Setting>);

impl Settings {
    /// Defaults, then `teamai.toml` in `dir`, then the environment. An empty variable counts as not set.
    ///
    /// # Errors
    /// A key that nobody knows, a file that cannot be read.
    pub fn read(env: impl IntoIterator<Item = (String, String)>, dir: &Path) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut figment = Figment::new();
        for key in KEYS {
            if let Some(default) = key.default {
                figment = figment.merge(One::new("default", key.path, default.to_owned()));
            }
        }
        let file = dir.join(FILE);
        if file.exists() {
            figment = figment.merge(Toml::file_exact(file));
        }
        for (name, value) in env {
            match path_of(&name) {
                Some(_) if value.is_empty() => {}
                Some(path) => figment = figment.merge(One::new(&name, &path, value)),
                None => {}
            }
        }
        let merged = figment.find_value("").map_err(|error| ConfigError::one(FILE, error.to_string()))?;
        let mut found = BTreeMap::new();
        flatten(&figment, "", &merged, &mut found, &mut problems);
        let mut settings = BTreeMap::new();
        for (path, setting) in found {
            match named(&path, setting, dir) {
                Ok((path, setting)) => settings.entry(path).or_insert(Vec::new()).push(setting),
                Err(problem) => problems.push(problem),
            }
        }
        let settings = settings.into_iter().filter_map(|(path, all)| single(path, all, &mut problems)).collect();
        if problems.is_empty() { Ok(Self(settings)) } else { Err(ConfigError(problems)) }
    }

    /// Key, value with secrets hidden, and origin of everything in force.
    #[must_use]
    pub fn shown(&self) -> Vec<(String, String, String)> {
        self.0
            .iter()
            .map(|(path, setting)| {
                let shown = keys::shown(path).unwrap_or(Shown::Plainly);
                (path.clone(), show(shown, &setting.value), setting.source.clone())
            })
            .collect()
    }
}

/// The setting that a variable sets: one of ours by its prefix, or one of the plain names.
fn path_of(name: &str) -> Option<String> {
    let plain = |key: &&Key| key.plain.is_some_and(|plain| name == plain);
    let plain_file =
        |key: &&Key| key.may_be_a_file() && key.plain.is_some_and(|plain| name.strip_suffix("_FILE") == Some(plain));
    if let Some(key) = KEYS.iter().find(plain) {
        return Some(key.path.to_owned());
    }
    if let Some(key) = KEYS.iter().find(plain_file) {
        return Some(format!("{}_file", key.path));
    }
    name.strip_prefix(PREFIX).map(|rest| rest.to_lowercase().replace("__", "."))
}

/// Checks the name and, where it names a file, reads that file.
fn named(path: &str, setting: Setting, dir: &Path) -> Result<(String, Setting), Problem> {
    if keys::is_known(path) {
        return Ok((path.to_owned(), setting));
    }
    let stem = path.strip_suffix("_file").filter(|stem| keys::shown(stem).is_some_and(Shown::may_be_a_file));
    let Some(stem) = stem else {
        return Err(unknown(path, setting.source));
    };
    match std::fs::read_to_string(dir.join(&setting.value)) {
        Ok(text) => Ok((stem.to_owned(), Setting { value: text.trim_end_matches(['\n', '\r']).to_owned(), ..setting })),
        Err(error) => Err(Problem {
            name: setting.source,
            message: format!("cannot read {}: {error}; name a readable file that holds the value", setting.value),
        }),
    }
}

fn unknown(path: &str, source: String) -> Problem {
    let hint = keys::closest(path).map_or_else(
        || "`teamai config --keys` lists them all; remove it".to_owned(),
        |near| format!("did you mean {} ({near} in {FILE})?", keys::variable(&near)),
    );
    Problem { name: source, message: format!("there is no such setting; {hint}") }
}

/// A value and its `_FILE` variant exclude each other; a default gives way.
fn single(path: String, mut all: Vec<Setting>, problems: &mut Vec<Problem>) -> Option<(String, Setting)> {
    if all.len() > 1 {
        all.retain(|setting| setting.source != "default");
    }
    let setting = all.pop()?;
    if let Some(other) = all.pop() {
        let message = format!("{} sets {path} as well; keep one of the two", other.source);
        problems.push(Problem { name: setting.source, message });
        return None;
    }
    Some((path, setting))
}

/// Turns the tree into paths and text, naming the origin of each value.
fn flatten(
    figment: &Figment,
    path: &str,
    value: &Value,
    out: &mut BTreeMap<String, Setting>,
    problems: &mut Vec<Problem>,
) {
    if let Value::Dict(_, dict) = value {
        for (key, value) in dict {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            flatten(figment, &path, value, out, problems);
        }
        return;
    }
    let source = match figment.get_metadata(value.tag()) {
        Some(metadata) if metadata.source.is_none() => metadata.name.to_string(),
        _ => format!("{path} in {FILE}"),
    };
    match text(value) {
        Some(value) => {
            out.insert(path.to_owned(), Setting { value, source });
        }
        None => problems.push(Problem {
            name: source,
            message: "must be a text, a number, true or false, or a list of these".to_owned(),
        }),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, c) => Some(c.to_string()),
        Value::Bool(_, b) => Some(b.to_string()),
        Value::Num(_, n) => n.to_i128().map(|n| n.to_string()).or_else(|| n.to_f64().map(|n| n.to_string())),
        Value::Array(_, items) => items.iter().map(text).collect::<Option<Vec<_>>>().map(|all| all.join(",")),
        Value::Empty(..) | Value::Dict(..) => None,
    }
}

fn show(shown: Shown, value: &str) -> String {
    match shown {
        Shown::Plainly => value.to_owned(),
        Shown::Hidden => "(hidden)".to_owned(),
        Shown::WithoutPassword => match url::Url::parse(value) {
            Ok(mut url) if url.password().is_some() => match url.set_password(Some("hidden")) {
                Ok(()) => url.to_string(),
                Err(()) => "(hidden)".to_owned(),
            },
            Ok(url) => url.to_string(),
            Err(_) => "(hidden)".to_owned(),
        },
    }
}

/// A layer with one setting, whose metadata names where it comes from.
struct One {
    source: String,
    path: String,
    value: String,
}

impl One {
    fn new(source: &str, path: &str, value: String) -> Self {
        Self { source: source.to_owned(), path: path.to_owned(), value }
    }
}

impl Layer for One {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.path, Value::from(self.value.clone()));
        Ok(nested.into_dict().map(|dict| (Profile::Default, dict)).into_iter().collect())
    }
}
