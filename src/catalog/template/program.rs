//! One string of a config, compiled by the engine's own parts so that all of its work is paid for.

use std::collections::BTreeMap;

use minijinja::{
    AutoEscape, Error, ErrorKind, Value,
    machinery::{self, CodeGenerator, Instructions},
};
use self_cell::self_cell;

use super::{
    Escape,
    engine::ENGINE,
    growth,
    limits::MAX_OUTPUT,
    rebuild,
    syntax::{self, Tree},
};

type Blocks<'a> = BTreeMap<&'a str, Instructions<'a>>;

struct Code<'a> {
    instructions: Instructions<'a>,
    blocks: Blocks<'a>,
    only_copies: bool,
}

self_cell!(
    struct Source {
        owner: String,
        #[covariant]
        dependent: Code,
    }
);

/// A template or an expression that can be run many times.
pub struct Program {
    source: Source,
    escape: AutoEscape,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program").field(self.source.borrow_owner()).finish()
    }
}

impl Program {
    /// # Errors
    /// The text is no template, or one that is refused; the message is for a person.
    pub fn template(text: &str, escape: Escape) -> Result<Self, String> {
        let escape = match escape {
            Escape::Html => AutoEscape::Html,
            Escape::None => AutoEscape::None,
        };
        Self::new(text, false, escape)
    }

    /// # Errors
    /// The text is no expression, or one that is refused.
    pub fn expression(text: &str) -> Result<Self, String> {
        Self::new(text, true, AutoEscape::None)
    }

    fn new(text: &str, is_expression: bool, escape: AutoEscape) -> Result<Self, String> {
        let source = Source::try_new(text.to_owned(), |text| compile(text, is_expression))?;
        Ok(Self { source, escape })
    }

    pub fn source(&self) -> &str {
        self.source.borrow_owner()
    }

    /// Whether it only names a value.
    pub fn only_copies(&self) -> bool {
        self.source.borrow_dependent().only_copies
    }

    /// What a template becomes.
    ///
    /// # Errors
    /// A value is missing, or the work or the text is more than one string may take.
    pub fn text(&self, scope: Value) -> Result<String, Error> {
        let (text, _) = self.run(scope)?;
        if text.len() > MAX_OUTPUT {
            return Err(Error::new(ErrorKind::WriteFailure, format!("the result is longer than {MAX_OUTPUT} bytes")));
        }
        Ok(text)
    }

    /// What an expression becomes, which may be undefined.
    ///
    /// # Errors
    /// As [`Program::text`].
    pub fn value(&self, scope: Value) -> Result<Value, Error> {
        Ok(self.run(scope)?.1.unwrap_or_default())
    }

    fn run(&self, scope: Value) -> Result<(String, Option<Value>), Error> {
        let code = self.source.borrow_dependent();
        let mut text = String::new();
        let mut output = machinery::make_string_output(&mut text);
        let (value, _) =
            machinery::eval(&ENGINE, &code.instructions, scope, &code.blocks, &mut output, self.escape.clone())?;
        drop(output);
        Ok((text, value))
    }
}

fn compile(text: &str, is_expression: bool) -> Result<Code<'_>, String> {
    let tree = syntax::parse(text, is_expression)?;
    // A recipe that was stored by an older version was not looked at for this.
    if let Some(refusal) = growth::refusal(&tree) {
        return Err(refusal.to_owned());
    }
    let mut generator = CodeGenerator::new(if is_expression { "expression" } else { "template" }, text);
    let only_copies = match &tree {
        Tree::Expression(expression) => {
            generator.compile_expr(&rebuild::expression(expression));
            syntax::is_path(expression)
        }
        Tree::Template(statement) => {
            let statement = rebuild::statement(statement).ok_or("a statement of the template is not offered")?;
            generator.compile_stmt(&statement);
            false
        }
    };
    let (instructions, blocks) = generator.finish();
    Ok(Code { instructions, blocks, only_copies })
}
