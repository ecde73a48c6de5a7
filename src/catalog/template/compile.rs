//! A node's config, compiled once for a recipe and rendered for each run.

use std::sync::Arc;

use minijinja::{Environment, Expression, value::ValueKind};
use serde_json::{Map, Value};

use super::{Budget, Escape, Scope, TemplateError, engine, growth, names, tokens, tokens::Tag};

/// What a string of a config is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// Nothing to render.
    Literal,
    /// Exactly one `{{ expression }}`: the value keeps its type.
    Expression(&'a str),
    Text,
}

impl<'a> Form<'a> {
    pub fn of(text: &'a str) -> Self {
        if !["{{", "{%", "{#"].iter().any(|opening| text.contains(opening)) {
            return Self::Literal;
        }
        // The line break that ends a YAML block is none of the author's.
        let inner = text.trim_end_matches('\n').strip_prefix("{{").and_then(|text| text.strip_suffix("}}"));
        let Some(inner) = inner else { return Self::Text };
        let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
        let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
        // `{{ a }} and {{ b }}` is not one expression, and does not parse as one.
        match tokens::read(inner, true).map(|_| engine::ENGINE.compile_expression(inner)) {
            Ok(Ok(_)) => Self::Expression(inner),
            _ => Self::Text,
        }
    }
}

/// An expression, compiled.
#[derive(Debug)]
pub struct Expr {
    source: String,
    only_copies: bool,
    expression: Expression<'static, 'static>,
}

impl Expr {
    fn new(text: &str) -> Result<Self, String> {
        let source = names::bare(text).trim().to_owned();
        let tags = tokens::read(&source, true)?;
        if let Some(refusal) = growth::refusal(&tags) {
            return Err(refusal.to_owned());
        }
        let only_copies = tags.iter().all(Tag::is_path);
        let expression =
            engine::ENGINE.compile_expression_owned(source.clone()).map_err(|error| engine::explain(&error))?;
        Ok(Self { source, only_copies, expression })
    }

    /// Whether it only names a value.
    pub(in crate::catalog) fn only_copies(&self) -> bool {
        self.only_copies
    }

    /// The value, never undefined. The error is the message alone.
    fn eval(&self, scope: &Scope) -> Result<minijinja::Value, String> {
        let value = self.expression.eval(scope.root()).map_err(|error| engine::explain(&error))?;
        if value.is_undefined() { Err(format!("`{}` is undefined", self.source)) } else { Ok(value) }
    }

    fn json(&self, scope: &Scope, budget: &Budget) -> Result<Value, String> {
        let value = Scope::plain(self.eval(scope)?);
        match value.as_str() {
            Some(text) => budget.take(text.len())?,
            None => budget
                .take_value(&value)
                .map_err(|error| format!("the value of `{}` is refused: {error}", self.source))?,
        }
        serde_json::to_value(&value).map_err(|error| format!("the value of `{}` is no data: {error}", self.source))
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
    Expression(Box<Expr>),
    /// A name in the plan's environment.
    Text(String),
    List(Vec<Compiled>),
    Map(Vec<(String, Compiled)>),
}

/// Collects the templates of one plan.
#[derive(Debug)]
pub struct Compiler {
    templates: Environment<'static>,
    count: usize,
}

impl Default for Compiler {
    fn default() -> Self {
        Self { templates: engine::ENGINE.clone(), count: 0 }
    }
}

impl Compiler {
    /// # Errors
    /// A string is no template; the error has no node yet.
    pub fn value(&mut self, value: &Value, escape: Escape, path: &str) -> Result<Compiled, TemplateError> {
        Ok(match value {
            Value::String(text) => self.text(text, escape).map_err(|message| fault(path, message))?,
            Value::Array(items) => {
                let compile = |(index, item)| self.value(item, escape, &format!("{path}[{index}]"));
                let items = items.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()?;
                if items.iter().all(Compiled::is_literal) {
                    Compiled::Literal(value.clone())
                } else {
                    Compiled::List(items)
                }
            }
            Value::Object(map) => {
                let compile = |(key, value): (&String, &Value)| {
                    Ok((key.clone(), self.value(value, escape, &format!("{path}.{key}"))?))
                };
                let entries = map.iter().map(compile).collect::<Result<Vec<_>, _>>()?;
                if entries.iter().all(|(_, value)| value.is_literal()) {
                    Compiled::Literal(value.clone())
                } else {
                    Compiled::Map(entries)
                }
            }
            _ => Compiled::Literal(value.clone()),
        })
    }

    /// # Errors
    /// The text is no expression.
    pub fn expression(&mut self, text: &str, path: &str) -> Result<Expr, TemplateError> {
        Expr::new(text).map_err(|message| fault(path, message))
    }

    /// The templates, to render the compiled values with.
    #[must_use]
    pub fn finish(self) -> Templates {
        Templates(Arc::new(self.templates))
    }

    fn text(&mut self, text: &str, escape: Escape) -> Result<Compiled, String> {
        match Form::of(text) {
            Form::Literal => Ok(Compiled::Literal(Value::String(text.to_owned()))),
            Form::Expression(expression) => Ok(Compiled::Expression(Box::new(Expr::new(expression)?))),
            Form::Text => {
                // A recipe that was stored by an older version was not looked at for this.
                if let Some(refusal) = growth::refusal(&tokens::read(text, false)?) {
                    return Err(refusal.to_owned());
                }
                // The ending tells the engine what to escape.
                let name = format!("{}.{}", self.count, if escape == Escape::Html { "html" } else { "txt" });
                self.count += 1;
                self.templates
                    .add_template_owned(name.clone(), tokens::with_kept_values(text)?)
                    .map_err(|error| engine::explain(&error))?;
                Ok(Compiled::Text(name))
            }
        }
    }
}

fn fault(path: &str, message: String) -> TemplateError {
    TemplateError { node: String::new(), path: path.to_owned(), message }
}

impl Compiled {
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

/// The compiled templates of a plan; cheap to clone.
#[derive(Debug, Clone)]
pub struct Templates(Arc<Environment<'static>>);

impl Templates {
    /// Renders every string once.
    ///
    /// # Errors
    /// Names the string by its path; the error has no node yet.
    pub fn render(
        &self,
        value: &Compiled,
        escape: Escape,
        scope: &Scope,
        path: &str,
        budget: &Budget,
    ) -> Result<Value, TemplateError> {
        match value {
            Compiled::Literal(value) => Ok(value.clone()),
            Compiled::Expression(expression) => match expression.json(scope, budget) {
                Ok(value) => Ok(escape.apply(value)),
                Err(message) => Err(fault(path, message)),
            },
            Compiled::Text(name) => self
                .0
                .get_template(name)
                .and_then(|template| engine::render(&template, scope.root()))
                .map_err(|error| engine::explain(&error))
                .and_then(|text| budget.take(text.len()).map(|()| Value::String(text)))
                .map_err(|message| fault(path, message)),
            Compiled::List(items) => {
                let render = |(index, item)| self.render(item, escape, scope, &format!("{path}[{index}]"), budget);
                items.iter().enumerate().map(render).collect()
            }
            Compiled::Map(entries) => self.render_map(entries, escape, scope, path, budget).map(Value::Object),
        }
    }

    pub(in crate::catalog) fn render_map(
        &self,
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
                value => self.render(value, escape, scope, &format!("{path}.{key}"), budget)?,
            };
            map.insert(key.clone(), value);
        }
        Ok(map)
    }

    /// Whether the expression is true.
    ///
    /// # Errors
    /// It has no value.
    pub fn holds(expression: &Expr, scope: &Scope, path: &str) -> Result<bool, TemplateError> {
        expression.eval(scope).map(|value| value.is_true()).map_err(|message| fault(path, message))
    }

    /// The entries of the expression's value, at most so many of them; what it is instead, if it is no list.
    ///
    /// # Errors
    /// It has no value, or too large a one.
    pub fn items(expression: &Expr, scope: &Scope, most: usize) -> Result<Result<Items, Value>, TemplateError> {
        let named = |message| fault("for_each", message);
        let value = Scope::plain(expression.eval(scope).map_err(named)?);
        let (ValueKind::Seq | ValueKind::Iterable) = value.kind() else {
            return Self::eval(expression, scope, "for_each").map(Err);
        };
        let budget = Budget::default();
        let mut items = Items { texts: Vec::new(), count: 0 };
        for item in value.try_iter().map_err(|error| named(engine::explain(&error)))? {
            items.count += 1;
            if items.count <= most {
                let refused = |error| named(format!("the value of `{}` is refused: {error}", expression.source));
                budget.take_value(&item).map_err(refused)?;
                let text = serde_json::to_string(&item).map_err(|error| refused(error.to_string()))?;
                items.texts.push(text.into());
            }
        }
        Ok(Ok(items))
    }

    /// The expression's value.
    ///
    /// # Errors
    /// It has none.
    pub fn eval(expression: &Expr, scope: &Scope, path: &str) -> Result<Value, TemplateError> {
        expression.json(scope, &Budget::default()).map_err(|message| fault(path, message))
    }
}
