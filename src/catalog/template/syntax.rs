//! The engine's own syntax tree of a template or an expression, and a way through it.

use minijinja::{
    machinery::{
        self,
        ast::{CallArg, Expr, Stmt},
    },
    syntax::SyntaxConfig,
};

use super::{engine, tokens};

/// What a text means.
pub enum Tree<'a> {
    Template(Stmt<'a>),
    Expression(Expr<'a>),
}

/// Reads a text as the engine does, once its length is known to be bounded.
///
/// # Errors
/// It is no template, or no expression, or longer than anything should parse.
pub fn parse(text: &str, is_expression: bool) -> Result<Tree<'_>, String> {
    tokens::bounded(text, is_expression)?;
    let tree = if is_expression {
        machinery::parse_expr(text).map(Tree::Expression)
    } else {
        machinery::parse(text, "template", SyntaxConfig::default()).map(Tree::Template)
    };
    tree.map_err(|error| engine::explain(&error))
}

impl<'a> Tree<'a> {
    /// Every expression, each before those within it.
    pub fn expressions<'t>(&'t self) -> Vec<&'t Expr<'a>> {
        let mut found = Vec::new();
        match self {
            Self::Expression(expression) => within(expression, &mut found),
            Self::Template(statement) => of_statement(statement, &mut found),
        }
        found
    }
}

fn of_statement<'t, 'a>(statement: &'t Stmt<'a>, found: &mut Vec<&'t Expr<'a>>) {
    for expression in heads(statement) {
        within(expression, found);
    }
    for statement in bodies(statement).into_iter().flatten() {
        of_statement(statement, found);
    }
}

/// The expression and all that it is made of.
fn within<'t, 'a>(expression: &'t Expr<'a>, found: &mut Vec<&'t Expr<'a>>) {
    found.push(expression);
    for part in parts(expression) {
        within(part, found);
    }
}

/// The expression itself and everything within it.
pub fn all<'t, 'a>(expression: &'t Expr<'a>) -> Vec<&'t Expr<'a>> {
    let mut found = Vec::new();
    within(expression, &mut found);
    found
}

/// The expressions of a statement's own tag.
pub fn heads<'t, 'a>(statement: &'t Stmt<'a>) -> Vec<&'t Expr<'a>> {
    match statement {
        Stmt::EmitExpr(emit) => vec![&emit.expr],
        Stmt::ForLoop(each) => {
            [Some(&each.target), Some(&each.iter), each.filter_expr.as_ref()].into_iter().flatten().collect()
        }
        Stmt::IfCond(cond) => vec![&cond.expr],
        Stmt::WithBlock(with) => with.assignments.iter().flat_map(|(target, value)| [target, value]).collect(),
        Stmt::Set(set) => vec![&set.target, &set.expr],
        Stmt::SetBlock(set) => std::iter::once(&set.target).chain(&set.filter).collect(),
        Stmt::AutoEscape(escape) => vec![&escape.enabled],
        Stmt::FilterBlock(block) => vec![&block.filter],
        Stmt::Macro(of) => of.args.iter().chain(&of.defaults).collect(),
        Stmt::CallBlock(block) => call_parts(&block.call.expr, &block.call.args),
        Stmt::Do(action) => call_parts(&action.call.expr, &action.call.args),
        Stmt::Template(_) | Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => Vec::new(),
    }
}

/// The statements between a statement's tags.
pub fn bodies<'t, 'a>(statement: &'t Stmt<'a>) -> [&'t [Stmt<'a>]; 2] {
    match statement {
        Stmt::Template(template) => [&template.children, &[]],
        Stmt::ForLoop(each) => [&each.body, &each.else_body],
        Stmt::IfCond(cond) => [&cond.true_body, &cond.false_body],
        Stmt::WithBlock(with) => [&with.body, &[]],
        Stmt::SetBlock(set) => [&set.body, &[]],
        Stmt::AutoEscape(escape) => [&escape.body, &[]],
        Stmt::FilterBlock(block) => [&block.body, &[]],
        Stmt::Macro(of) => [&of.body, &[]],
        Stmt::CallBlock(block) => [&block.macro_decl.body, &[]],
        Stmt::EmitExpr(_) | Stmt::EmitRaw(_) | Stmt::Set(_) | Stmt::Do(_) | Stmt::Continue(_) | Stmt::Break(_) => {
            [&[], &[]]
        }
    }
}

/// The expressions that an expression is directly made of.
pub fn parts<'t, 'a>(expression: &'t Expr<'a>) -> Vec<&'t Expr<'a>> {
    match expression {
        Expr::Var(_) | Expr::Const(_) => Vec::new(),
        Expr::Slice(slice) => {
            std::iter::once(&slice.expr).chain(&slice.start).chain(&slice.stop).chain(&slice.step).collect()
        }
        Expr::UnaryOp(operation) => vec![&operation.expr],
        Expr::BinOp(operation) => vec![&operation.left, &operation.right],
        Expr::Compare(chain) => std::iter::once(&chain.expr).chain(chain.ops.iter().map(|op| &op.expr)).collect(),
        Expr::IfExpr(choice) => [&choice.test_expr, &choice.true_expr].into_iter().chain(&choice.false_expr).collect(),
        Expr::Filter(filter) => filter.expr.iter().chain(filter.args.iter().map(argument)).collect(),
        Expr::Test(test) => call_parts(&test.expr, &test.args),
        Expr::GetAttr(field) => vec![&field.expr],
        Expr::GetItem(item) => vec![&item.expr, &item.subscript_expr],
        Expr::Call(call) => call_parts(&call.expr, &call.args),
        Expr::List(list) => list.items.iter().collect(),
        Expr::Tuple(tuple) => tuple.items.iter().collect(),
        Expr::Map(map) => map.keys.iter().chain(&map.values).collect(),
    }
}

fn call_parts<'t, 'a>(of: &'t Expr<'a>, args: &'t [CallArg<'a>]) -> Vec<&'t Expr<'a>> {
    std::iter::once(of).chain(args.iter().map(argument)).collect()
}

fn argument<'t, 'a>(arg: &'t CallArg<'a>) -> &'t Expr<'a> {
    match arg {
        CallArg::Pos(value) | CallArg::Kwarg(_, value) | CallArg::PosSplat(value) | CallArg::KwargSplat(value) => value,
    }
}

/// A name with fields and nothing else: `crawl.pages`.
pub fn is_path(expression: &Expr<'_>) -> bool {
    match expression {
        Expr::Var(_) => true,
        Expr::GetAttr(field) => is_path(&field.expr),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine's tree is no stable interface: this is what we rely on.
    #[test]
    fn the_tree_is_what_the_engine_runs() {
        let text = "{#} {% raw %} #}a{%- set a = {'}}': \"x y\"} -%}{% raw %}{{ b }}{% endraw %}{{ c|d(e=f) }}";
        let tree = parse(text, false).unwrap();
        let shown: Vec<&str> = tree
            .expressions()
            .into_iter()
            .map(|expression| match expression {
                Expr::Var(var) => var.id,
                Expr::Filter(filter) => filter.name,
                other => other.description(),
            })
            .collect();
        assert_eq!(shown, ["a", "map literal", "constant", "constant", "d", "c", "f"]);
        let Tree::Template(Stmt::Template(template)) = &tree else { panic!("no template") };
        let raw: Vec<&str> = template
            .children
            .iter()
            .filter_map(|child| if let Stmt::EmitRaw(text) = child { Some(text.raw) } else { None })
            .collect();
        assert_eq!(raw, ["a", "{{ b }}"]);
    }

    #[test]
    fn nothing_of_an_expression_is_passed_over() {
        for text in [
            "x[x:x:x]",
            "-x",
            "x + x",
            "x < x",
            "x < x <= x",
            "x if x else x",
            "x | f(x, k=x)",
            "x | f(*x, **x)",
            "x is divisibleby(x)",
            "x.y",
            "x[x]",
            "f(x)",
            "x.f(x)",
            "[x]",
            "(x, x)",
            "{x: x}",
            "x and x or not x",
            "x in x",
        ] {
            let tree = parse(text, true).unwrap();
            let found =
                tree.expressions().iter().filter(|part| matches!(part, Expr::Var(var) if var.id == "x")).count();
            assert_eq!(found, text.matches('x').count(), "{text}");
        }
        let statements = "{% if x %}{{ x }}{% else %}{{ x }}{% endif %}{% for x in x if x %}{{ x }}{% else %}{{ x }}{% endfor %}\
             {% set x = x %}{% set x | f(x) %}{{ x }}{% endset %}{% with x = x %}{{ x }}{% endwith %}\
             {% filter f(x) %}{{ x }}{% endfilter %}{% autoescape x %}{{ x }}{% endautoescape %}{% do x.f(x) %}";
        let tree = parse(statements, false).unwrap();
        let found = tree.expressions().iter().filter(|part| matches!(part, Expr::Var(var) if var.id == "x")).count();
        assert_eq!(found, statements.matches('x').count());
    }
}
