//! Reads a document completely: every fault is noted, and reading goes on.

mod macros;
mod nul;
mod parse;
mod scalars;
mod tree;

pub use macros::{require, word};
pub use parse::parse;
pub use scalars::text;
pub use tree::{Kind, Tree};

pub(super) use macros::{choice, section};

use super::problem::{Mark, Path, Problem, Step, choices, suggestion};

/// A type of the format. A fault is noted in the reader, and the default stands
/// in for the value, so that the rest can still be looked at.
pub trait Read: Sized + Default {
    /// Whether leaving the key out is a fault.
    const REQUIRED: bool = true;

    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self;
}

/// Where in the document the reading is, and what it found.
#[derive(Debug, Default)]
pub struct Reader<'t> {
    path: Path<'t>,
    pub problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    pub fn problem(&mut self, mark: Mark, message: impl Into<String>) {
        self.problems.push(Problem::new(self.path.to_string(), message).at(mark));
    }

    /// Notes a fault and gives the stand-in.
    pub fn refuse<T: Default>(&mut self, tree: &Tree, message: impl Into<String>) -> T {
        self.problem(tree.mark, message);
        T::default()
    }

    fn within<T>(&mut self, step: Step<'t>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.0.push(step);
        let value = read(self);
        self.path.0.pop();
        value
    }
}

/// The keys of a mapping, taken one by one; what is left over was not known.
#[derive(Debug)]
pub struct Section<'t> {
    tree: &'t Tree,
    entries: Vec<(&'t tree::Key, &'t Tree)>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// `None`, and a fault, if the tree is no mapping.
    pub fn open(tree: &'t Tree, at: &mut Reader<'t>) -> Option<Self> {
        match &tree.kind {
            Kind::Map(entries) => Some(Self {
                tree,
                entries: entries.iter().map(|(key, value)| (key, value)).collect(),
                known: Vec::new(),
            }),
            _ => at.refuse(tree, format!("expected a mapping of keys to values, found {}", tree.describe())),
        }
    }

    /// The value at the key; a null is as good as nothing.
    pub fn take<T: Read>(&mut self, key: &'static str, at: &mut Reader<'t>, default: impl FnOnce() -> Option<T>) -> T {
        self.known.push(key);
        let found = self.entries.iter().position(|(name, _)| name.name == key);
        let found = found.map(|index| self.entries.remove(index).1);
        match (found, default()) {
            (Some(tree), Some(default)) if tree.is_null() => default,
            (Some(tree), _) => at.within(Step::Key(key), |at| T::read(tree, at)),
            (None, Some(default)) => default,
            (None, None) => {
                if T::REQUIRED {
                    at.problem(self.tree.mark, format!("the key `{key}` is missing"));
                }
                T::default()
            }
        }
    }

    /// Refuses the keys that were not taken.
    pub fn close(self, at: &mut Reader<'t>) {
        for (key, _) in &self.entries {
            let known = choices(&key.name, &self.known);
            at.within(Step::Key(&key.name), |at| {
                at.problem(key.mark, format!("unknown key `{}`{known}", key.name));
            });
        }
    }
}

impl<T: Read> Read for Option<T> {
    const REQUIRED: bool = false;

    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        (!tree.is_null()).then(|| T::read(tree, at))
    }
}

/// No list of the format is longer; the two that matter are limited further.
const MAX_ITEMS: usize = 1_000;

impl<T: Read> Read for Vec<T> {
    const REQUIRED: bool = false;

    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match &tree.kind {
            Kind::Null => Self::new(),
            Kind::List(items) if items.len() > MAX_ITEMS => {
                at.refuse(tree, format!("{} entries; at most {MAX_ITEMS} are accepted", items.len()))
            }
            Kind::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| at.within(Step::Index(index), |at| T::read(item, at)))
                .collect(),
            _ => at.refuse(tree, format!("expected a list, found {}", tree.describe())),
        }
    }
}

impl<T: Read> Read for std::collections::BTreeMap<String, T> {
    const REQUIRED: bool = false;

    fn read<'t>(tree: &'t Tree, at: &mut Reader<'t>) -> Self {
        match &tree.kind {
            Kind::Null => Self::new(),
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.name.clone(), at.within(Step::Key(&key.name), |at| T::read(value, at))))
                .collect(),
            _ => at.refuse(tree, format!("expected a mapping, found {}", tree.describe())),
        }
    }
}
