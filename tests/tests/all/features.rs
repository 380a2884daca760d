//! The example pipelines show the whole language.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use constellation_lang::syntax::{
    Call, CallOption, Declaration, ExpressionId, ExpressionKind, Import, Interpolation, OptionValue,
    PatternKind, SyntaxTree, TypeExpressionKind, TypeId,
};
use constellation_lang::{parse, tokenize};
use constellation_tests::{examples_directory, reference_directory};

/// What a program can be made of, but for options that nothing applies.
const FEATURES: &[&str] = &[
    "declaration type",
    "declaration in",
    "declaration out",
    "declaration use",
    "declaration use as",
    "declaration assignment",
    "annotation @example",
    "annotation @source",
    "annotation @sink",
    "type String",
    "type Int",
    "type Float",
    "type Boolean",
    "type declared",
    "type List<>",
    "type Seq<>",
    "type Candidates<>",
    "type Optional<>",
    "type Map<>",
    "type record",
    "type merge",
    "type union",
    "variable",
    "integer",
    "float",
    "boolean",
    "string",
    "interpolation",
    "list",
    "record",
    "call",
    "call with a namespace",
    "field",
    "projection []",
    "projection {}",
    "operator +",
    "operator -",
    "operator *",
    "operator /",
    "operator ==",
    "operator !=",
    "operator <",
    "operator <=",
    "operator >",
    "operator >=",
    "operator and",
    "operator or",
    "operator when",
    "operator ??",
    "operator not",
    "operator - before an operand",
    "if",
    "if with else if",
    "branch",
    "match",
    "lambda",
    "pattern {}",
    "pattern is",
    "pattern _",
    "option retry",
    "option timeout",
    "option delay",
    "option backoff: fixed",
    "option backoff: linear",
    "option backoff: exponential",
    "option fallback",
    "option cache",
    "option cache_backend",
    "option throttle",
    "option concurrency",
    "option priority",
    "option lazy",
    "option on_error: propagate",
    "option on_error: skip",
    "option on_error: log",
    "option on_error: wrap",
];

/// The options that need modules to be tried on: what a run does with them shows in time or not at all.
const DEMONSTRATED_OPTIONS: &[&str] = &[
    "option retry",
    "option timeout",
    "option delay",
    "option backoff: linear",
    "option backoff: exponential",
    "option fallback",
    "option cache",
    "option cache_backend",
    "option throttle",
    "option concurrency",
    "option on_error: skip",
    "option on_error: log",
    "option lazy",
    "option priority",
];

fn features_in(directory: &Path) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for entry in fs::read_dir(directory).expect("the examples can be read") {
        let path = entry.expect("the examples can be read").path();
        if path.extension().is_some_and(|extension| extension == "cst") {
            let source = fs::read_to_string(&path).expect("a program is text");
            used.extend(features_of(&source));
        }
    }
    used
}

#[test]
fn the_programs_of_the_reference_demonstrate_every_option() {
    let used = features_in(&reference_directory());
    let missing: Vec<&&str> = DEMONSTRATED_OPTIONS.iter().filter(|option| !used.contains(**option)).collect();
    assert!(missing.is_empty(), "no program of the reference has {missing:?}");
}

#[test]
fn the_pipelines_use_every_feature_of_the_language() {
    let used = features_in(&examples_directory());
    let missing: Vec<&&str> = FEATURES.iter().filter(|feature| !used.contains(**feature)).collect();
    assert!(missing.is_empty(), "no example pipeline has {missing:?}");
    let unknown: Vec<&String> = used.iter().filter(|feature| !FEATURES.contains(&feature.as_str())).collect();
    assert!(unknown.is_empty(), "the list of features lacks {unknown:?}");
}

#[test]
fn features_are_told_apart() {
    let source = "use a.b as c\nin x: Optional<Int>\ny = c.f(x{d}, -x) with on_error: skip\nout y";
    let expected = [
        "call",
        "call with a namespace",
        "declaration assignment",
        "declaration in",
        "declaration out",
        "declaration use as",
        "operator - before an operand",
        "option on_error: skip",
        "projection {}",
        "type Int",
        "type Optional<>",
        "variable",
    ];
    assert_eq!(features_of(source), expected.map(str::to_owned).into());
}

fn features_of(source: &str) -> BTreeSet<String> {
    let (tree, diagnostics) = parse(&tokenize(source));
    assert!(diagnostics.is_empty(), "{diagnostics:?}\n{source}");
    let mut walk = Walk { tree: &tree, source, found: BTreeSet::new() };
    for declaration in &tree.declarations {
        walk.declaration(declaration);
    }
    // The tree does not keep these, which nothing looks at.
    for annotation in ["@source(", "@sink("] {
        if source.lines().any(|line| line.starts_with(annotation)) {
            walk.find(format!("annotation {}", annotation.trim_end_matches('(')));
        }
    }
    walk.found
}

struct Walk<'t> {
    tree: &'t SyntaxTree<'t>,
    source: &'t str,
    found: BTreeSet<String>,
}

/// Each match is exhaustive, so that a new form of the syntax stops the build until it has a feature.
impl Walk<'_> {
    fn find(&mut self, feature: impl Into<String>) {
        self.found.insert(feature.into());
    }

    fn declaration(&mut self, declaration: &Declaration<'_>) {
        match declaration {
            Declaration::Type { name: _, ty } => {
                self.find("declaration type");
                self.ty(*ty);
            }
            Declaration::Input { name: _, ty, examples } => {
                self.find("declaration in");
                self.ty(*ty);
                for example in self.tree.list(*examples) {
                    self.find("annotation @example");
                    self.expression(*example);
                }
            }
            Declaration::Output { name: _ } => self.find("declaration out"),
            Declaration::Use(import) => {
                let Import { path: _, alias } = &**import;
                self.find(if alias.is_some() { "declaration use as" } else { "declaration use" });
            }
            Declaration::Assignment { name: _, value } => {
                self.find("declaration assignment");
                self.expression(*value);
            }
            Declaration::Error => unreachable!("it would have a diagnostic"),
        }
    }

    fn ty(&mut self, id: TypeId) {
        match &self.tree.ty(id).kind {
            TypeExpressionKind::Named(name @ ("String" | "Int" | "Float" | "Boolean")) => {
                self.find(format!("type {name}"));
            }
            TypeExpressionKind::Named(_) => self.find("type declared"),
            TypeExpressionKind::Applied { name, arguments } => {
                self.find(format!("type {name}<>"));
                self.types(self.tree.list(*arguments));
            }
            TypeExpressionKind::Record(fields) => {
                self.find("type record");
                self.types(self.tree.list(*fields).iter().map(|(_, field)| field));
            }
            TypeExpressionKind::Merge(parts) => {
                self.find("type merge");
                self.types(self.tree.list(*parts));
            }
            TypeExpressionKind::Union(members) => {
                self.find("type union");
                self.types(self.tree.list(*members));
            }
            TypeExpressionKind::Error => unreachable!("it would have a diagnostic"),
        }
    }

    fn types<'e>(&mut self, ids: impl IntoIterator<Item = &'e TypeId>) {
        for id in ids {
            self.ty(*id);
        }
    }

    fn expressions<'e>(&mut self, ids: impl IntoIterator<Item = &'e ExpressionId>) {
        for id in ids {
            self.expression(*id);
        }
    }

    fn expression(&mut self, id: ExpressionId) {
        let expression = self.tree.expression(id);
        match &expression.kind {
            ExpressionKind::Variable(_) => self.find("variable"),
            ExpressionKind::Integer(_) => self.find("integer"),
            ExpressionKind::Float(_) => self.find("float"),
            ExpressionKind::Boolean(_) => self.find("boolean"),
            ExpressionKind::String(_) => self.find("string"),
            ExpressionKind::Interpolation(interpolation) => {
                let Interpolation { parts: _, values } = interpolation;
                self.find("interpolation");
                self.expressions(self.tree.list(*values));
            }
            ExpressionKind::List(items) => {
                self.find("list");
                self.expressions(self.tree.list(*items));
            }
            ExpressionKind::Record(fields) => {
                self.find("record");
                self.expressions(self.tree.list(*fields).iter().map(|(_, field)| field));
            }
            ExpressionKind::Call(call) => {
                let Call { function, arguments, options } = self.tree.call(*call);
                self.find("call");
                if function.text.contains('.') {
                    self.find("call with a namespace");
                }
                self.expressions(self.tree.list(*arguments));
                for option in self.tree.list(*options) {
                    self.option(option);
                }
            }
            ExpressionKind::Field { source, name: _ } => {
                self.find("field");
                self.expression(*source);
            }
            ExpressionKind::Projection { source, names: _ } => {
                let span = expression.span;
                let text = &self.source[span.start as usize..span.end as usize];
                self.find(if text.ends_with('}') { "projection {}" } else { "projection []" });
                self.expression(*source);
            }
            ExpressionKind::Binary { operator, left, right } => {
                self.find(format!("operator {}", operator.as_str()));
                self.expressions([left, right]);
            }
            ExpressionKind::Coalesce { reversed } => {
                self.find("operator ??");
                self.expressions(self.tree.list(*reversed));
            }
            ExpressionKind::Not(operand) => {
                self.find("operator not");
                self.expression(*operand);
            }
            ExpressionKind::Negate(operand) => {
                self.find("operator - before an operand");
                self.expression(*operand);
            }
            ExpressionKind::Conditional { arms, otherwise } => {
                self.find(if arms.len() > 1 { "if with else if" } else { "if" });
                self.cases(self.tree.list(*arms), *otherwise);
            }
            ExpressionKind::Branch { cases, otherwise } => {
                self.find("branch");
                self.cases(self.tree.list(*cases), *otherwise);
            }
            ExpressionKind::Lambda { parameters, body } => {
                self.find("lambda");
                self.types(
                    self.tree.list(*parameters).iter().filter_map(|(_, annotation)| annotation.as_ref()),
                );
                self.expression(*body);
            }
            ExpressionKind::Match { scrutinee, cases } => {
                self.find("match");
                self.expression(*scrutinee);
                for (pattern, body) in self.tree.list(*cases) {
                    self.find(match pattern.kind {
                        PatternKind::Fields(_) => "pattern {}",
                        PatternKind::Is(_) => "pattern is",
                        PatternKind::Any => "pattern _",
                    });
                    self.expression(*body);
                }
            }
            ExpressionKind::Error => unreachable!("it would have a diagnostic"),
        }
    }

    fn cases(&mut self, cases: &[(ExpressionId, ExpressionId)], otherwise: ExpressionId) {
        for (condition, value) in cases {
            self.expressions([condition, value]);
        }
        self.expression(otherwise);
    }

    fn option(&mut self, option: &CallOption<'_>) {
        let name = option.name.text;
        match &option.value {
            OptionValue::Word(word) => self.find(format!("option {name}: {word}")),
            OptionValue::Expression(value) => {
                self.find(format!("option {name}"));
                self.expression(*value);
            }
            OptionValue::Count(_)
            | OptionValue::Priority(_)
            | OptionValue::Duration(_)
            | OptionValue::Rate(..)
            | OptionValue::Flag(_)
            | OptionValue::Text(_)
            | OptionValue::Durations(..)
            | OptionValue::CountWindow(_) => self.find(format!("option {name}")),
        }
    }
}
