//! A node's config, compiled once for a recipe and rendered for each run.

use minijinja::value::ValueKind;
use serde_json::{Map, Value};

use super::{Budget, Escape, Scope, TemplateError, deadline, engine, form::Form, names, place, program::Program};

/// An expression, compiled.
#[derive(Debug)]
pub struct Expr(Program);

impl Expr {
    /// # Errors
    /// The text is no expression; the error has no node yet.
    pub fn new(text: &str, path: &str) -> Result<Self, TemplateError> {
        Program::expression(names::bare(text).trim()).map(Self).map_err(|message| fault(path, message))
    }

    /// Whether it only names a value.
    pub(in crate::catalog) fn only_copies(&self) -> bool {
        self.0.only_copies()
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// It has no value.
    pub fn holds(&self, scope: &Scope, path: &str) -> Result<bool, TemplateError> {
        place::enter(path);
        let value = self.eval(scope, &Budget::default());
        value.map(|value| value.is_true()).map_err(|message| fault(path, message))
    }

    /// Its value.
    ///
    /// # Errors
    /// It has none.
    pub fn value(&self, scope: &Scope, path: &str) -> Result<Value, TemplateError> {
        place::enter(path);
        self.json(scope, &Budget::default()).map_err(|message| fault(path, message))
    }

    /// The entries of its value, at most so many of them; what it is instead, if it is no list.
    ///
    /// # Errors
    /// It has no value, or too large a one.
    pub fn items(&self, scope: &Scope, most: usize) -> Result<Result<Items, Value>, TemplateError> {
        let named = |message| fault("for_each", message);
        place::enter("for_each");
        let budget = Budget::default();
        let value = Scope::plain(self.eval(scope, &budget).map_err(named)?);
        let (ValueKind::Seq | ValueKind::Iterable) = value.kind() else {
            return self.value(scope, "for_each").map(Err);
        };
        let mut items = Items { texts: Vec::new(), count: 0 };
        for item in value.try_iter().map_err(|error| named(engine::explain(&error)))? {
            items.count += 1;
            if items.count <= most {
                let refused = |error| named(format!("the value of `{}` is refused: {error}", self.0.source()));
                budget.take_value(&item).map_err(refused)?;
                let text = serde_json::to_string(&item).map_err(|error| refused(error.to_string()))?;
                items.texts.push(text.into());
            }
        }
        Ok(Ok(items))
    }

    /// The value, never undefined. The error is the message alone.
    fn eval(&self, scope: &Scope, budget: &Budget) -> Result<minijinja::Value, String> {
        let value = deadline::until(budget.until(), || self.0.value(scope.root()));
        let value = value.map_err(|error| engine::explain(&error))?;
        if value.is_undefined() { Err(format!("`{}` is undefined", self.0.source())) } else { Ok(value) }
    }

    fn json(&self, scope: &Scope, budget: &Budget) -> Result<Value, String> {
        let value = Scope::plain(self.eval(scope, budget)?);
        match value.as_str() {
            Some(text) => budget.take(text.len())?,
            None => budget
                .take_value(&value)
                .map_err(|error| format!("the value of `{}` is refused: {error}", self.0.source()))?,
        }
        serde_json::to_value(&value).map_err(|error| format!("the value of `{}` is not data: {error}", self.0.source()))
    }
}

/// What a `for_each` runs over.
#[derive(Debug, PartialEq, Eq)]
pub struct Items {
    /// Each as JSON.
    pub texts: Vec<Box<str>>,
    /// Of all, those that are left out with them.
    pub count: usize,
}

/// A JSON value, its strings compiled.
#[derive(Debug)]
pub enum Compiled {
    /// Nothing in it is a template.
    Literal(Value),
    Expression(Expr),
    Text(Program),
    List(Vec<Compiled>),
    Map(Vec<(String, Compiled)>),
}

impl Compiled {
    /// `escape` says what the templates write.
    ///
    /// # Errors
    /// A string is no template; the error has no node yet.
    pub fn new(value: &Value, escape: Escape, path: &str) -> Result<Self, TemplateError> {
        Ok(match value {
            Value::String(text) => match Form::of(text) {
                Form::Literal => Self::Literal(value.clone()),
                Form::Expression(expression) => Self::Expression(Expr::new(expression, path)?),
                Form::Text => Self::Text(Program::template(text, escape).map_err(|message| fault(path, message))?),
            },
            Value::Array(items) => {
                let compile = |(index, item)| Self::new(item, escape, &format!("{path}[{index}]"));
                let items = items.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()?;
                if items.iter().all(Self::is_literal) { Self::Literal(value.clone()) } else { Self::List(items) }
            }
            Value::Object(map) => {
                let compile = |(key, value): (&String, &Value)| {
                    Ok((key.clone(), Self::new(value, escape, &format!("{path}.{key}"))?))
                };
                let entries = map.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
                if entries.iter().all(|(_, value)| value.is_literal()) {
                    Self::Literal(value.clone())
                } else {
                    Self::Map(entries)
                }
            }
            _ => Self::Literal(value.clone()),
        })
    }

    /// Renders every string once.
    ///
    /// # Errors
    /// Names the string by its path; the error has no node yet.
    pub fn render(&self, escape: Escape, scope: &Scope, path: &str, budget: &Budget) -> Result<Value, TemplateError> {
        if matches!(self, Self::Expression(_) | Self::Text(_)) {
            place::enter(path);
        }
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Expression(expression) => match expression.json(scope, budget) {
                Ok(value) => Ok(escape.apply(value)),
                Err(message) => Err(fault(path, message)),
            },
            Self::Text(program) => deadline::until(budget.until(), || program.text(scope.root()))
                .map_err(|error| engine::explain(&error))
                .and_then(|text| budget.take(text.len()).map(|()| Value::String(text)))
                .map_err(|message| fault(path, message)),
            Self::List(items) => {
                let render =
                    |(index, item): (usize, &Self)| item.render(escape, scope, &format!("{path}[{index}]"), budget);
                items.iter().enumerate().map(render).collect()
            }
            Self::Map(entries) => render_map(entries, escape, scope, path, budget).map(Value::Object),
        }
    }

    /// Whether rendering it does no more than to copy values that it names.
    pub(in crate::catalog) fn only_copies(&self) -> bool {
        match self {
            Self::Literal(_) => true,
            Self::Expression(expression) => expression.only_copies(),
            Self::Text(_) => false,
            Self::List(items) => items.iter().all(Self::only_copies),
            Self::Map(entries) => entries.iter().all(|(_, value)| value.only_copies()),
        }
    }

    fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }
}

/// Renders the entries of a mapping.
///
/// # Errors
/// As [`Compiled::render`].
pub(in crate::catalog) fn render_map(
    entries: &[(String, Compiled)],
    escape: Escape,
    scope: &Scope,
    path: &str,
    budget: &Budget,
) -> Result<Map<String, Value>, TemplateError> {
    let mut map = Map::new();
    for (key, value) in entries {
        // The path is only for an error: a literal has none.
        let value = match value {
            Compiled::Literal(value) => value.clone(),
            value => value.render(escape, scope, &format!("{path}.{key}"), budget)?,
        };
        map.insert(key.clone(), value);
    }
    Ok(map)
}

fn fault(path: &str, message: String) -> TemplateError {
    TemplateError { node: String::new(), path: path.to_owned(), message }
}
