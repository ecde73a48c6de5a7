//! A syntax tree made again, with the functions of [`super::charges`] where work is done
//! that nothing else pays for: comparisons, joining of texts, values that get a name, loops.

use minijinja::machinery::{
    Span,
    ast::{
        AutoEscape, BinOp, BinOpKind, Break, Call, CallArg, Compare, CompareOp, Const, Continue, Do, EmitExpr, EmitRaw,
        Expr, Filter, FilterBlock, ForLoop, GetAttr, GetItem, IfCond, IfExpr, List, Map, Set, SetBlock, Slice, Spanned,
        Stmt, Template, Test, Tuple, UnaryOp, UnaryOpKind, Var, WithBlock,
    },
};

use super::{
    charges::{COMPARED, TICK, TIMES, WHOLE, WRITTEN},
    plain::LOOKS,
    syntax::is_path,
};

/// Filters that do not look into their arguments, or pay for them themselves.
const PASSES_ON: [&str; 5] = ["default", "d", "zip", "chain", "format"];
/// Filters that make no text of what they are given, or pay for it themselves. What a filter
/// takes for a text it writes out first, however long that is.
const MAKE_NO_TEXT: [&str; 33] = [
    "attr",
    "batch",
    "bool",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "format",
    "groupby",
    "items",
    "join",
    "last",
    "length",
    "list",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "slice",
    "sort",
    "string",
    "sum",
    "tojson",
    "truncate",
    "unique",
    "urlencode",
    "zip",
];
const MAP: &str = "map";

/// A statement and all within it; `None` for a construct that is not offered.
pub fn statement<'a>(from: &Stmt<'a>) -> Option<Stmt<'a>> {
    Some(match from {
        Stmt::Template(s) => Stmt::Template(at(s, Template { children: body(&s.children)? })),
        Stmt::EmitExpr(s) => Stmt::EmitExpr(at(s, EmitExpr { expr: expression(&s.expr) })),
        Stmt::EmitRaw(s) => Stmt::EmitRaw(at(s, EmitRaw { raw: s.raw })),
        Stmt::ForLoop(s) if !s.recursive => Stmt::ForLoop(at(s, for_loop(s)?)),
        Stmt::IfCond(s) => Stmt::IfCond(at(
            s,
            IfCond { expr: expression(&s.expr), true_body: body(&s.true_body)?, false_body: body(&s.false_body)? },
        )),
        Stmt::WithBlock(s) => {
            let assign = |(target, value): &(Expr<'a>, Expr<'a>)| (expression(target), kept(value));
            let assignments = s.assignments.iter().map(assign).collect();
            Stmt::WithBlock(at(s, WithBlock { assignments, body: body(&s.body)? }))
        }
        Stmt::Set(s) => Stmt::Set(at(s, Set { target: expression(&s.target), expr: kept(&s.expr) })),
        Stmt::SetBlock(s) => Stmt::SetBlock(at(
            s,
            SetBlock { target: expression(&s.target), filter: s.filter.as_ref().map(expression), body: body(&s.body)? },
        )),
        Stmt::AutoEscape(s) => {
            Stmt::AutoEscape(at(s, AutoEscape { enabled: expression(&s.enabled), body: body(&s.body)? }))
        }
        Stmt::FilterBlock(s) => Stmt::FilterBlock(at(
            s,
            FilterBlock { filter: expression(&s.filter), filter_span: s.filter_span, body: body(&s.body)? },
        )),
        Stmt::Do(s) => Stmt::Do(at(s, Do { call: at(&s.call, call(&s.call)) })),
        Stmt::Continue(s) => Stmt::Continue(at(s, Continue)),
        Stmt::Break(s) => Stmt::Break(at(s, Break)),
        Stmt::ForLoop(_) | Stmt::Macro(_) | Stmt::CallBlock(_) => return None,
    })
}

fn at<T, U>(from: &Spanned<T>, node: U) -> Spanned<U> {
    Spanned::new(node, from.span())
}

fn body<'a>(statements: &[Stmt<'a>]) -> Option<Vec<Stmt<'a>>> {
    statements.iter().map(statement).collect()
}

fn for_loop<'a>(from: &Spanned<ForLoop<'a>>) -> Option<ForLoop<'a>> {
    let tick = Call { expr: Expr::Var(at(from, Var { id: TICK })), args: Vec::new() };
    let tick = Stmt::Do(at(from, Do { call: at(from, tick) }));
    Some(ForLoop {
        target: expression(&from.target),
        iter: kept(&from.iter),
        filter_expr: from.filter_expr.as_ref().map(expression),
        recursive: false,
        body: std::iter::once(Some(tick)).chain(from.body.iter().map(statement)).collect::<Option<_>>()?,
        else_body: body(&from.else_body)?,
    })
}

/// A value that gets a name. What is there already is whole.
fn kept<'a>(value: &Expr<'a>) -> Expr<'a> {
    let made = expression(value);
    let is_namespace =
        matches!(value, Expr::Call(call) if matches!(&call.expr, Expr::Var(var) if var.id == "namespace"));
    if is_path(value) || matches!(value, Expr::Const(_)) || is_namespace { made } else { paid(WHOLE, made) }
}

fn paid<'a>(function: &'static str, value: Expr<'a>) -> Expr<'a> {
    let span: Span = value.span();
    let function = Expr::Var(Spanned::new(Var { id: function }, span));
    Expr::Call(Spanned::new(Call { expr: function, args: vec![CallArg::Pos(value)] }, span))
}

/// One that is no constant, so that it may be large.
fn operand<'a>(function: &'static str, from: &Expr<'a>) -> Expr<'a> {
    let made = expression(from);
    if is_constant(from) { made } else { paid(function, made) }
}

/// A number times a text is written the other way round.
fn is_no_text(from: &Expr<'_>) -> bool {
    matches!(from, Expr::List(_) | Expr::Tuple(_))
}

fn is_constant(from: &Expr<'_>) -> bool {
    match from {
        Expr::Const(_) => true,
        Expr::List(list) => list.items.iter().all(is_constant),
        Expr::Tuple(tuple) => tuple.items.iter().all(is_constant),
        _ => false,
    }
}

pub fn expression<'a>(from: &Expr<'a>) -> Expr<'a> {
    match from {
        Expr::Var(e) => Expr::Var(at(e, Var { id: e.id })),
        Expr::Const(e) => Expr::Const(at(e, Const { value: e.value.clone() })),
        Expr::Slice(e) => {
            let of = paid(WHOLE, expression(&e.expr));
            let part = |part: &Option<Expr<'a>>| part.as_ref().map(expression);
            Expr::Slice(at(e, Slice { expr: of, start: part(&e.start), stop: part(&e.stop), step: part(&e.step) }))
        }
        Expr::UnaryOp(e) => {
            let op = if matches!(e.op, UnaryOpKind::Not) { UnaryOpKind::Not } else { UnaryOpKind::Neg };
            Expr::UnaryOp(at(e, UnaryOp { op, expr: expression(&e.expr) }))
        }
        Expr::BinOp(e) if matches!(e.op, BinOpKind::Mul) && !is_no_text(&e.left) => {
            let function = Expr::Var(at(e, Var { id: TIMES }));
            let args = [&e.left, &e.right].map(|side| CallArg::Pos(expression(side))).into();
            Expr::Call(at(e, Call { expr: function, args }))
        }
        Expr::BinOp(e) => Expr::BinOp(at(e, operation(e))),
        Expr::Compare(e) => {
            let ops = e.ops.iter().map(|op| CompareOp { op: op.op, expr: operand(COMPARED, &op.expr) }).collect();
            Expr::Compare(at(e, Compare { expr: operand(COMPARED, &e.expr), ops }))
        }
        Expr::IfExpr(e) => Expr::IfExpr(at(
            e,
            IfExpr {
                test_expr: expression(&e.test_expr),
                true_expr: expression(&e.true_expr),
                false_expr: e.false_expr.as_ref().map(expression),
            },
        )),
        Expr::Filter(e) => {
            let how = |value: &Expr<'a>| operand(COMPARED, value);
            let args = arguments(&e.args, if PASSES_ON.contains(&e.name) { &expression } else { &how });
            let of = |of: &Expr<'a>| if makes_text(e) { operand(WRITTEN, of) } else { expression(of) };
            Expr::Filter(at(e, Filter { name: e.name, expr: e.expr.as_ref().map(of), args }))
        }
        Expr::Test(e) => Expr::Test(at(e, test(e))),
        Expr::GetAttr(e) => Expr::GetAttr(at(e, GetAttr { expr: expression(&e.expr), name: e.name })),
        Expr::GetItem(e) => Expr::GetItem(at(
            e,
            GetItem { expr: expression(&e.expr), subscript_expr: operand(COMPARED, &e.subscript_expr) },
        )),
        Expr::Call(e) => Expr::Call(at(e, call(e))),
        Expr::List(e) => Expr::List(at(e, List { items: all(&e.items) })),
        Expr::Tuple(e) => Expr::Tuple(at(e, Tuple { items: all(&e.items) })),
        Expr::Map(e) => {
            let keys = e.keys.iter().map(|key| operand(COMPARED, key)).collect();
            Expr::Map(at(e, Map { keys, values: all(&e.values) }))
        }
    }
}

/// Whether the filter, or the one that it is told to apply to each item, takes texts.
fn makes_text(filter: &Filter<'_>) -> bool {
    if filter.name != MAP {
        return !MAKE_NO_TEXT.contains(&filter.name);
    }
    filter.args.iter().any(|arg| match arg {
        CallArg::Pos(Expr::Const(name)) => !name.value.as_str().is_some_and(|name| MAKE_NO_TEXT.contains(&name)),
        CallArg::Pos(_) | CallArg::PosSplat(_) => true,
        CallArg::Kwarg(..) | CallArg::KwargSplat(_) => false,
    })
}

fn all<'a>(expressions: &[Expr<'a>]) -> Vec<Expr<'a>> {
    expressions.iter().map(expression).collect()
}

fn operation<'a>(from: &BinOp<'a>) -> BinOp<'a> {
    let (left, right) = (&from.left, &from.right);
    let both = |function: &'static str| (operand(function, left), operand(function, right));
    let (left, right) = match from.op {
        BinOpKind::Concat => both(WRITTEN),
        // What is looked for in a text is written out.
        BinOpKind::In => both(COMPARED),
        BinOpKind::Eq | BinOpKind::Ne | BinOpKind::Lt | BinOpKind::Lte | BinOpKind::Gt | BinOpKind::Gte
            // Against a constant it is over at the first difference.
            if !is_constant(left) && !is_constant(right) =>
        {
            both(COMPARED)
        }
        _ => (expression(left), expression(right)),
    };
    BinOp { op: from.op, left, right }
}

fn test<'a>(from: &Test<'a>) -> Test<'a> {
    let how = |value: &Expr<'a>| operand(COMPARED, value);
    let (expr, args) = if LOOKS.contains(&from.name) {
        (expression(&from.expr), arguments(&from.args, &expression))
    } else {
        (how(&from.expr), arguments(&from.args, &how))
    };
    Test { name: from.name, expr, args }
}

fn call<'a>(from: &Call<'a>) -> Call<'a> {
    // A function compares, keeps or writes out what it is given.
    Call { expr: expression(&from.expr), args: arguments(&from.args, &|value| operand(COMPARED, value)) }
}

fn arguments<'a>(from: &[CallArg<'a>], how: &dyn Fn(&Expr<'a>) -> Expr<'a>) -> Vec<CallArg<'a>> {
    let argument = |arg: &CallArg<'a>| match arg {
        CallArg::Pos(value) => CallArg::Pos(how(value)),
        CallArg::Kwarg(name, value) => CallArg::Kwarg(name, how(value)),
        CallArg::PosSplat(value) => CallArg::PosSplat(how(value)),
        CallArg::KwargSplat(value) => CallArg::KwargSplat(how(value)),
    };
    from.iter().map(argument).collect()
}
