//! What the table says of a component: the columns of its rows.

use super::setting::{Kind, Setting};

/// A component: what it is called, takes and gives, and what it may do.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of the table, free of the others")]
pub struct ComponentSpec {
    /// As a recipe writes it under `component:`.
    pub name: &'static str,
    /// One sentence, for whoever writes a recipe.
    pub does: &'static str,
    /// The keys of `config`, in groups that several components share.
    pub settings: &'static [&'static [Setting]],
    /// Whether `config` takes other keys too: labels of the author's own.
    pub takes_labels: bool,
    pub output: Output,
    pub gives: Gives,
    /// Whether the result is made of the config alone, so that `cache` can keep it for other runs.
    pub is_cacheable: bool,
    /// Whether it asks a model, with the node's `secrets.api_key` if there is one.
    pub asks_model: bool,
    /// Whether it puts the node's secrets into the request to its `url`.
    pub sends_secrets: bool,
    /// What it is as an agent's tool; `None` if it cannot be one.
    pub tool: Option<Tool>,
    /// What it waits for. Such a node makes no calls, and the engine itself carries it out.
    pub waits: Option<Waits>,
}

/// What the run makes of a component's result, beside handing it to other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    Data,
    /// Its `quality_score` counts for the run.
    Score,
    /// A document in `output`, with its `content_type` and `filename`.
    Report,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    ForPeople,
    /// For a task of another recipe.
    ForTask,
}

/// The fields of a component's result, which templates reach as `NODE.field`.
#[derive(Debug)]
pub enum Output {
    /// These and no others.
    Only(&'static [Field]),
    /// These, and what the config adds.
    AtLeast(&'static [Field]),
    /// Any value: the author or another recipe decides.
    Anything,
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub shape: Shape,
    /// Whether every result has it. It may still be `null`.
    pub is_always_there: bool,
}

#[derive(Debug)]
pub enum Shape {
    /// A scalar, a list of scalars, or a value from outside.
    Value,
    Mapping(&'static [Field]),
    /// Of mappings with these fields.
    List(&'static [Field]),
}

/// A component as a tool that an agent's model may call.
#[derive(Debug)]
pub struct Tool {
    /// For the model, unless the author names the tool otherwise.
    pub name: &'static str,
    /// For the model, unless the author describes the tool otherwise.
    pub does: &'static str,
    /// What the model chooses where the tool's config does not.
    pub open: &'static [Open],
    /// Settings that the author has to write, because they decide what a call costs.
    pub fixed: &'static [&'static str],
}

/// A setting that a tool's config may leave to the model.
#[derive(Debug)]
pub struct Open {
    pub key: &'static str,
    pub is_required: bool,
    /// Whether it is the body of a request: open only if the author's `method` carries one
    /// and the author wrote no `body`.
    pub is_body: bool,
}

impl ComponentSpec {
    /// A row says only where it is different from this.
    pub const PLAIN: Self = Self {
        name: "",
        does: "",
        settings: &[],
        takes_labels: false,
        output: Output::Anything,
        gives: Gives::Data,
        is_cacheable: false,
        asks_model: false,
        sends_secrets: false,
        tool: None,
        waits: None,
    };

    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> + use<> {
        self.settings.iter().copied().flatten()
    }

    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&'static Setting> {
        self.settings().find(|setting| setting.key == key)
    }

    /// In the order of the table.
    #[must_use]
    pub fn keys(&self) -> Vec<&'static str> {
        self.settings().map(|setting| setting.key).collect()
    }

    /// Whether its `config.tools` is a list of tools.
    #[must_use]
    pub fn has_tools(&self) -> bool {
        self.settings().any(|setting| matches!(setting.kind, Kind::Tools))
    }
}

impl Tool {
    #[must_use]
    pub const fn new(name: &'static str, does: &'static str, open: &'static [Open]) -> Self {
        Self { name, does, open, fixed: &[] }
    }
}

impl Output {
    #[must_use]
    pub const fn fields(&self) -> &'static [Field] {
        match self {
            Self::Only(fields) | Self::AtLeast(fields) => fields,
            Self::Anything => &[],
        }
    }
}

impl Field {
    /// Not every result has it.
    #[must_use]
    pub const fn sometimes(mut self) -> Self {
        self.is_always_there = false;
        self
    }
}

pub const fn field(name: &'static str) -> Field {
    Field { name, shape: Shape::Value, is_always_there: true }
}

pub const fn list(name: &'static str, of: &'static [Field]) -> Field {
    Field { name, shape: Shape::List(of), is_always_there: true }
}

pub const fn mapping(name: &'static str, of: &'static [Field]) -> Field {
    Field { name, shape: Shape::Mapping(of), is_always_there: true }
}
