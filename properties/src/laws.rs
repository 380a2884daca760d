//! What holds for every generated program.

use std::fmt::Write as _;

use constellation_lang::{TokenKind, TokenizedSource, parse, print, tokenize};
use constellation_runtime::{RunErrorKind, RunReport};
use constellation_store_core::{DagSpec, Literal, NodeKind, PipelineImage};
use constellation_testkit::image_of;
use constellation_types::{Json, Type, decode_json};
use fastrand::Rng;

use crate::{Program, Settings, World, generate};

/// What there was to check in a program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many tokens were replaced by others.
    pub n_changes: usize,
    /// How many outputs came about in its runs.
    pub n_values: usize,
    /// How many outputs did not, because something failed.
    pub n_failures: usize,
}

/// Makes the program of a seed and checks everything about it.
///
/// # Errors
///
/// What does not hold, with the program.
pub fn check(world: &World, seed: u64, settings: Settings) -> Result<Checked, String> {
    let mut rng = Rng::with_seed(seed);
    let program = generate(&mut rng, world.functions(), settings);
    let source = program.source();
    let mut laws = Laws { world, program: &program, source: &source, rng, checked: Checked::default() };
    laws.check().map_err(|error| format!("{error}\n\nin the program of seed {seed}:\n{source}"))?;
    Ok(laws.checked)
}

type Held = Result<(), String>;

struct Laws<'p> {
    world: &'p World,
    program: &'p Program,
    source: &'p str,
    rng: Rng,
    checked: Checked,
}

impl Laws<'_> {
    fn check(&mut self) -> Held {
        let graph =
            self.world.graph(self.source).map_err(|errors| format!("it does not compile:\n{errors}"))?;
        self.compiles_the_same_again(&graph)?;
        self.reads_back_when_printed(&graph)?;
        self.ignores_layout(&graph)?;
        self.ignores_the_order_of_independent_declarations(&graph)?;
        self.tells_changes_apart(&graph)?;
        self.runs_the_same_when_stored(graph)
    }

    fn expect_same(&self, source: &str, graph: &DagSpec, what: &str) -> Held {
        let other = self.world.graph(source).map_err(|errors| format!("{what}:\n{source}\n{errors}"))?;
        if other.structural_hash() == graph.structural_hash() && other == *graph {
            return Ok(());
        }
        Err(format!("{what} has another graph:\n{source}"))
    }

    /// On a thread of its own, where maps are of another order.
    fn compiles_the_same_again(&self, graph: &DagSpec) -> Held {
        let functions = self.world.functions();
        let again = std::thread::scope(|scope| {
            let compile = || constellation_lang::compile(&tokenize(self.source), functions).dag_spec;
            scope.spawn(compile).join()
        });
        match again {
            Ok(Some(again)) if again.structural_hash() == graph.structural_hash() => Ok(()),
            _ => Err("compiled again it has another hash".to_owned()),
        }
    }

    fn reads_back_when_printed(&self, graph: &DagSpec) -> Held {
        let tokens = tokenize(self.source);
        let (tree, _) = parse(&tokens);
        let printed = print(&tree).ok_or("it is not printed")?;
        let again = tokenize(&printed);
        let (again, diagnostics) = parse(&again);
        if !diagnostics.is_empty() || again.without_spans() != tree.without_spans() {
            return Err(format!("printed it is another tree: {diagnostics:?}\n{printed}"));
        }
        if print(&again).as_ref() != Some(&printed) {
            return Err(format!("what is printed is printed in another way:\n{printed}"));
        }
        self.expect_same(&printed, graph, "the printed program")
    }

    /// The same tokens with other space and comments between them.
    fn ignores_layout(&mut self, graph: &DagSpec) -> Held {
        let tokens = tokenize(self.source);
        let mut text = String::new();
        for token in tokens.tokens() {
            let space = [" ", "\n", "\t", "  \r\n", " # in x: \"${ (\n", "\n#\n"][self.rng.usize(..6)];
            text.push_str(space);
            text.push_str(tokens.text(*token));
        }
        if tokenize(&text).syntactic_hash() != tokens.syntactic_hash() {
            return Err(format!("laid out otherwise it has another syntactic hash:\n{text}"));
        }
        self.expect_same(&text, graph, "the program in another layout")
    }

    /// Neighbours that have no name in common change places.
    fn ignores_the_order_of_independent_declarations(&mut self, graph: &DagSpec) -> Held {
        let mut declarations: Vec<(&str, Vec<String>)> = self
            .program
            .declarations
            .iter()
            .map(|declaration| (declaration.as_str(), identifiers(declaration)))
            .collect();
        // What an import means to a name stands above it.
        let first = declarations.iter().filter(|(text, _)| text.starts_with("use ")).count();
        for _ in 0..4 * declarations.len() {
            if first + 1 >= declarations.len() {
                break;
            }
            let place = self.rng.usize(first..declarations.len() - 1);
            let (left, right) = (&declarations[place].1, &declarations[place + 1].1);
            if !left.iter().any(|name| right.contains(name)) {
                declarations.swap(place, place + 1);
            }
        }
        let texts: Vec<&str> = declarations.iter().map(|(text, _)| *text).collect();
        self.expect_same(&texts.join("\n"), graph, "the program in another order")
    }

    /// A token that what runs depends on is replaced: that is another program, or none.
    fn tells_changes_apart(&mut self, graph: &DagSpec) -> Held {
        let tokens = tokenize(self.source);
        let changes = self.changes(&tokens);
        for _ in 0..changes.len().min(4) {
            let (index, replacement) = &changes[self.rng.usize(..changes.len())];
            let span = tokens.tokens()[*index].span.range();
            let mut text = self.source.to_owned();
            text.replace_range(span, replacement);
            self.checked.n_changes += 1;
            if let Ok(other) = self.world.graph(&text)
                && other.structural_hash() == graph.structural_hash()
            {
                return Err(format!("with '{replacement}' as token {index} it has the same hash:\n{text}"));
            }
        }
        Ok(())
    }

    /// Tokens that count, and others in their places.
    fn changes(&self, tokens: &TokenizedSource<'_>) -> Vec<(usize, String)> {
        let compilation = self.world.compile(self.source);
        let Some(graph) = &compilation.dag_spec else { return Vec::new() };
        let list = tokens.tokens();
        let mut changes = Vec::new();
        for (index, token) in list.iter().enumerate() {
            let text = tokens.text(*token);
            let before = index.checked_sub(1).map(|before| list[before].kind);
            if before == Some(TokenKind::Out) {
                let inputs = self.program.inputs.iter().map(|(name, _)| name.as_str());
                let is_free = |name: &&str| !self.program.declarations.contains(&format!("out {name}"));
                changes.extend(inputs.filter(is_free).map(|name| (index, name.to_owned())));
                continue;
            }
            // The smallest part of the text around the token that made a node which is in the graph.
            let around = |node: &usize| {
                let span = compilation.node_spans[*node];
                span.start <= token.span.start && token.span.end <= span.end
            };
            let nodes = (0..graph.nodes.len()).filter(around);
            let width = |node: &usize| {
                let span = compilation.node_spans[*node];
                span.end - span.start
            };
            let Some(least) = nodes.clone().map(|node| width(&node)).min() else { continue };
            let smallest: Vec<&NodeKind> =
                nodes.filter(|node| width(node) == least).map(|node| &graph.nodes[node].operation).collect();
            let after = list.get(index + 1).map(|token| token.kind);
            let replacement = smallest.iter().find_map(|kind| replacement(kind, token.kind, text, after));
            changes.extend(replacement.map(|replacement| (index, replacement)));
        }
        changes
    }

    fn is_stored(graph: DagSpec) -> Result<(PipelineImage, PipelineImage), String> {
        let image = image_of(graph);
        let decoded = PipelineImage::decode(&image.encode())
            .map_err(|error| format!("its image does not read back: {error}"))?;
        if decoded.image != image || !decoded.checked {
            return Err("its image reads back as another".to_owned());
        }
        Ok((image, decoded.image))
    }

    fn runs_the_same_when_stored(&mut self, graph: DagSpec) -> Held {
        let (image, stored) = Self::is_stored(graph)?;
        let compiled =
            self.world.load(image).map_err(|error| format!("compiled it does not load: {error}"))?;
        let stored = self.world.load(stored).map_err(|error| format!("stored it does not load: {error}"))?;
        for _ in 0..2 {
            let inputs = self.program.values(&mut self.rng);
            let report = self.world.run(&compiled, &inputs);
            is_sound(&report).map_err(|error| format!("{error}\nwith {inputs:?}"))?;
            self.checked.n_values += report.outputs.len();
            self.checked.n_failures += report.pending_outputs.len();
            if self.world.run(&stored, &inputs) != report {
                return Err(format!("stored it runs otherwise, with {inputs:?}"));
            }
            for output in &compiled.outputs {
                let Some(value) = report.output(&output.name) else { continue };
                let ty = compiled.ty(output.ty);
                let json = serde_json::to_value(Json { value, ty }).map_err(|error| error.to_string())?;
                let read = decode_json(&json, ty, &output.name).map_err(|error| error.to_string());
                let is_the_same = match &read {
                    Ok(read) if is_told_apart(ty) => read == value,
                    Ok(read) => {
                        serde_json::to_value(Json { value: read, ty }).is_ok_and(|again| again == json)
                    }
                    Err(_) => false,
                };
                if !is_the_same {
                    return Err(format!("'{}' is no {ty}: {value:?} reads back as {read:?}", output.name));
                }
            }
        }
        Ok(())
    }
}

/// Whether a run failed only for reasons that are the program's.
pub(crate) fn is_sound(report: &RunReport) -> Held {
    let mut defects = String::new();
    for error in &report.errors {
        if !matches!(
            error.kind,
            RunErrorKind::Module | RunErrorKind::Evaluation | RunErrorKind::ResourceExhausted
        ) {
            writeln!(defects, "{}: {}", error.kind, error.message).expect("a string takes all text");
        }
    }
    if !report.missing_inputs.is_empty() {
        writeln!(defects, "missing inputs: {:?}", report.missing_inputs).expect("a string takes all text");
    }
    if defects.is_empty() { Ok(()) } else { Err(format!("its run fails: {defects}")) }
}

/// Whether JSON tells all values of a type apart. It has one `null` for both kinds of none that an optional of an
/// optional has; such a type comes about where a generic function is called with optionals.
fn is_told_apart(ty: &Type) -> bool {
    match ty {
        Type::Optional(inner) => !matches!(**inner, Type::Optional(_)) && is_told_apart(inner),
        Type::List(inner) | Type::Seq(inner) => is_told_apart(inner),
        Type::Map(key, value) => is_told_apart(key) && is_told_apart(value),
        Type::Record(record) => record.fields().iter().all(|field| is_told_apart(&field.ty)),
        Type::Union(union) => union.members().iter().all(is_told_apart),
        Type::Nothing
        | Type::String
        | Type::Int
        | Type::Float
        | Type::Boolean
        | Type::Function(_)
        | Type::Variable(_) => true,
    }
}

/// The names in a declaration.
fn identifiers(declaration: &str) -> Vec<String> {
    let tokens = tokenize(declaration);
    let names = tokens.tokens().iter().filter(|token| token.kind == TokenKind::Identifier);
    names.map(|token| tokens.text(*token).to_owned()).collect()
}

/// Another token in the place of one that this node is made of; none where the token means nothing to it.
fn replacement(kind: &NodeKind, token: TokenKind, text: &str, after: Option<TokenKind>) -> Option<String> {
    let other = match (kind, token) {
        (NodeKind::Literal(Literal::Int(_) | Literal::Float(_)), TokenKind::Integer) => {
            if text == "1" {
                "2"
            } else {
                "1"
            }
        }
        (NodeKind::Literal(Literal::Float(_)), TokenKind::Float) => {
            if text == "1.5" {
                "2.5"
            } else {
                "1.5"
            }
        }
        (NodeKind::Literal(Literal::Bool(_)), TokenKind::True) => "false",
        (NodeKind::Literal(Literal::Bool(_)), TokenKind::False) => "true",
        (NodeKind::Literal(Literal::String(_)), TokenKind::String) => {
            return Some(format!("{} \"", &text[..text.len() - 1]));
        }
        (NodeKind::Arithmetic { .. } | NodeKind::Merge { .. }, TokenKind::Plus) => "-",
        (NodeKind::Arithmetic { .. }, TokenKind::Minus) => "*",
        (NodeKind::Arithmetic { .. }, TokenKind::Star) => "/",
        (NodeKind::Arithmetic { .. }, TokenKind::Slash) => "+",
        (NodeKind::Compare { .. }, TokenKind::Equal) => "!=",
        (NodeKind::Compare { .. }, TokenKind::NotEqual) => "==",
        (NodeKind::Compare { .. }, TokenKind::Less) => "<=",
        (NodeKind::Compare { .. }, TokenKind::LessEqual) => ">",
        (NodeKind::Compare { .. }, TokenKind::Greater) => ">=",
        (NodeKind::Compare { .. }, TokenKind::GreaterEqual) => "<",
        (NodeKind::And { .. }, TokenKind::And) => "or",
        (NodeKind::Or { .. }, TokenKind::Or) => "and",
        (NodeKind::Record { fields }, TokenKind::Identifier)
            if after == Some(TokenKind::Colon) && fields.iter().any(|field| field.name == text) =>
        {
            "another-name"
        }
        _ => return None,
    };
    Some(other.to_owned())
}
