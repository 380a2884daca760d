//! How text is grouped into a tree, and what a failed part leaves in it.

use crate::parse;
use crate::syntax::{
    BinaryOperator, Call, Declaration, ExpressionId, ExpressionKind, MAX_NESTING, PatternKind, SyntaxTree,
    TypeExpressionKind, TypeId,
};
use crate::tokenize;

/// An expression with all its parentheses.
fn print(tree: &SyntaxTree<'_>, id: ExpressionId) -> String {
    let list = |ids| tree.list(ids).iter().map(|id| print(tree, *id)).collect::<Vec<_>>().join(", ");
    match &tree.expression(id).kind {
        ExpressionKind::Error => "ERROR".to_owned(),
        ExpressionKind::Variable(name) => (*name).to_owned(),
        ExpressionKind::Integer(int) => int.to_string(),
        ExpressionKind::Float(float) => format!("{float:?}"),
        ExpressionKind::Boolean(boolean) => boolean.to_string(),
        ExpressionKind::String(text) => format!("{:?}", tree.text(*text)),
        ExpressionKind::Interpolation(interpolation) => {
            let parts: Vec<&str> =
                tree.list(interpolation.parts).iter().map(|part| tree.text(*part)).collect();
            format!("{parts:?}%({})", list(interpolation.values))
        }
        ExpressionKind::List(items) => format!("[{}]", list(*items)),
        ExpressionKind::Record(fields) => {
            let fields: Vec<String> = tree
                .list(*fields)
                .iter()
                .map(|(name, value)| format!("{}: {}", name.text, print(tree, *value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        ExpressionKind::Call(call) => {
            let Call { function, arguments, options } = tree.call(*call);
            let options: Vec<&str> = tree.list(*options).iter().map(|option| option.name.text).collect();
            let clause =
                if options.is_empty() { String::new() } else { format!(" with {}", options.join(",")) };
            format!("{}({}){clause}", function.text, list(*arguments))
        }
        ExpressionKind::Field { source, name } => format!("{}.{}", print(tree, *source), name),
        ExpressionKind::Projection { source, names } => {
            let names: Vec<&str> = tree.list(*names).iter().map(|name| name.text).collect();
            format!("{}[{}]", print(tree, *source), names.join(","))
        }
        ExpressionKind::Binary { operator, left, right } => {
            format!("({} {} {})", print(tree, *left), operator.as_str(), print(tree, *right))
        }
        ExpressionKind::Coalesce { reversed } => {
            let operands: Vec<String> =
                tree.list(*reversed).iter().rev().map(|id| print(tree, *id)).collect();
            format!("({})", operands.join(" ?? "))
        }
        ExpressionKind::Not(operand) => format!("(not {})", print(tree, *operand)),
        ExpressionKind::Negate(operand) => format!("(- {})", print(tree, *operand)),
        ExpressionKind::Conditional { arms, otherwise } => {
            let arms: Vec<String> = tree
                .list(*arms)
                .iter()
                .map(|(c, v)| format!("if {} {}", print(tree, *c), print(tree, *v)))
                .collect();
            format!("({} else {})", arms.join(" else "), print(tree, *otherwise))
        }
        ExpressionKind::Branch { cases, otherwise } => {
            let cases: Vec<String> = tree
                .list(*cases)
                .iter()
                .map(|(c, v)| format!("{} -> {}", print(tree, *c), print(tree, *v)))
                .collect();
            format!("branch({}; {})", cases.join("; "), print(tree, *otherwise))
        }
        ExpressionKind::Lambda { parameters, body } => {
            let names: Vec<&str> = tree.list(*parameters).iter().map(|(name, _)| name.text).collect();
            format!("(\\{} {})", names.join(" "), print(tree, *body))
        }
        ExpressionKind::Match { scrutinee, cases } => {
            let cases: Vec<String> = tree
                .list(*cases)
                .iter()
                .map(|(pattern, body)| {
                    let pattern = match &pattern.kind {
                        PatternKind::Fields(names) => {
                            tree.list(*names).iter().map(|name| name.text).collect::<String>()
                        }
                        PatternKind::Is(name) => format!("is {}", name.text),
                        PatternKind::Any => "_".to_owned(),
                    };
                    format!("{pattern} -> {}", print(tree, *body))
                })
                .collect();
            format!("match {}({})", print(tree, *scrutinee), cases.join("; "))
        }
    }
}

fn print_type(tree: &SyntaxTree<'_>, id: TypeId) -> String {
    let list = |ids, separator: &str| {
        tree.list(ids).iter().map(|id| print_type(tree, *id)).collect::<Vec<_>>().join(separator)
    };
    match &tree.ty(id).kind {
        TypeExpressionKind::Named(name) => (*name).to_owned(),
        TypeExpressionKind::Applied { name, arguments } => format!("{name}<{}>", list(*arguments, ", ")),
        TypeExpressionKind::Record(fields) => {
            let fields: Vec<String> = tree
                .list(*fields)
                .iter()
                .map(|(name, ty)| format!("{}: {}", name.text, print_type(tree, *ty)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        TypeExpressionKind::Merge(parts) => format!("({})", list(*parts, " + ")),
        TypeExpressionKind::Union(members) => format!("({})", list(*members, " | ")),
        TypeExpressionKind::Error => "ERROR".to_owned(),
    }
}

/// The expression of `x = ...`, which must parse.
#[track_caller]
fn expression(text: &str) -> String {
    let source = format!("x = {text} out x");
    let tokens = tokenize(&source);
    let (tree, diagnostics) = parse(&tokens);
    assert!(diagnostics.is_empty(), "{text}: {diagnostics:#?}");
    assert_eq!(tree.declarations.len(), 2, "{text}");
    let Declaration::Assignment { value, .. } = &tree.declarations[0] else { panic!("an assignment") };
    print(&tree, *value)
}

#[test]
fn operators_group_as_the_table_says() {
    let cases = [
        ("a when b ?? c", "((a when b) ?? c)"),
        ("a ?? b when c", "(a ?? (b when c))"),
        ("a ?? b ?? c", "(a ?? b ?? c)"),
        ("(a ?? b) ?? c", "((a ?? b) ?? c)"),
        ("not a == b", "(not (a == b))"),
        ("not a and b", "((not a) and b)"),
        ("a or b and c or d", "((a or (b and c)) or d)"),
        ("a - b - c * d / e", "((a - b) - ((c * d) / e))"),
        ("a + b == c - d", "((a + b) == (c - d))"),
        ("-a.b * -2 - -3", "(((- a.b) * -2) - -3)"),
        ("a -1", "(a - 1)"),
        ("a == not b", "(a == (not b))"),
        ("if (c) a else b + 1", "(if c a else (b + 1))"),
        ("if (c) a when d else b", "(if c (a when d) else b)"),
        ("if (c) a else if (d) b else e", "(if c a else if d b else e)"),
        ("1 + if (c) a else b", "(1 + (if c a else b))"),
        ("a.b.c[d,e]{f}.g", "a.b.c[d,e][f].g"),
        ("a.b.f(c).d", "a.b.f(c).d"),
        ("a. b (c)", "a.b(c)"),
        ("std.bool.and(a, b)", "std.bool.and(a, b)"),
        ("(a) => (b) => a + b", "(\\a (\\b (a + b)))"),
        ("f((a, b: Int,) => a, () => 1)", "f((\\a b a), (\\ 1))"),
        ("f(a) with retry: 3 .name + 1", "(f(a) with retry.name + 1)"),
        ("g(f(a) with retry: 3, b)", "g(f(a) with retry, b)"),
        ("f(a) with fallback: g(b) with retry: 1, cache: 5s", "f(a) with fallback"),
        ("match f(a) { {b, c} -> b, is T -> 1, _ -> 2, }", "match f(a)(bc -> b; is T -> 1; _ -> 2)"),
        ("branch { a > 1 -> {b: 1}, otherwise -> {} }", "branch((a > 1) -> {b: 1}; {})"),
        ("\"a ${\"b ${ c }\"}\\n\"", "[\"a \", \"\\n\"]%([\"b \", \"\"]%(c))"),
        ("a\nand b\n[c]", "(a and b[c])"),
    ];
    for (text, expected) in cases {
        assert_eq!(expression(text), expected, "{text}");
    }
}

#[test]
fn types_group_as_the_table_says() {
    let source = "in x: A + B | List<{ a: Int, b: Map<String, C + D>, }> | E out x";
    let tokens = tokenize(source);
    let (tree, diagnostics) = parse(&tokens);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}");
    let Declaration::Input { ty, .. } = &tree.declarations[0] else { panic!("an input") };
    assert_eq!(print_type(&tree, *ty), "((A + B) | List<{a: Int, b: Map<String, (C + D)>}> | E)");
}

#[test]
fn what_fails_between_brackets_is_an_error_in_the_tree() {
    let source = "x = f([1, +, 2], a) + b out x";
    let tokens = tokenize(source);
    let (tree, diagnostics) = parse(&tokens);
    assert_eq!(diagnostics.len(), 1);
    let Declaration::Assignment { value, .. } = &tree.declarations[0] else { panic!("an assignment") };
    assert_eq!(print(&tree, *value), "(f(ERROR, a) + b)");
}

#[test]
fn spans_cover_the_visible_text() {
    let source = "x = a  +  f( b ) # end\nout x";
    let tokens = tokenize(source);
    let (tree, _) = parse(&tokens);
    let Declaration::Assignment { value, .. } = &tree.declarations[0] else { panic!("an assignment") };
    assert_eq!(&source[tree.expression(*value).span.range()], "a  +  f( b )");
    let ExpressionKind::Binary { operator: BinaryOperator::Add, right, .. } = &tree.expression(*value).kind
    else {
        panic!("a sum")
    };
    assert_eq!(&source[tree.expression(*right).span.range()], "f( b )");
}

#[test]
fn nesting_is_bounded_exactly() {
    for (levels, is_fine) in [(MAX_NESTING, true), (MAX_NESTING + 1, false)] {
        let levels = levels as usize;
        let source = format!("x = {}1{} out x", "(".repeat(levels), ")".repeat(levels));
        let tokens = tokenize(&source);
        assert_eq!(parse(&tokens).1.is_empty(), is_fine, "{levels}");
    }
}
