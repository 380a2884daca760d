//! What is fuzzed: functions that take any bytes and panic when something does not hold.
//!
//! The tests run them over the corpus and its mutations, with the stable compiler; `fuzz/` runs the same functions under
//! cargo-fuzz.

use constellation_lang::{TokenKind, parse, print, tokenize};
use constellation_rehydrate::Operation;
use constellation_runtime::RunErrorKind;
use constellation_store_core::PipelineImage;
use constellation_testkit::image_of;
use constellation_types::Type;
use fastrand::Rng;

use crate::generate::value;
use crate::{Settings, World, generate};

/// A function that is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of the folder of its corpus too.
    pub name: &'static str,
    /// Takes any bytes. Panics when something does not hold for them.
    pub run: fn(&World, &[u8]),
    /// Bytes that get far: a generated program, in the form that the target takes.
    pub example: fn(&World, &mut Rng) -> Vec<u8>,
}

/// All targets.
pub const TARGETS: [Target; 5] = [
    Target { name: "lexer", run: lexer, example: source },
    Target { name: "parser", run: parser, example: source },
    Target { name: "checker", run: checker, example: source },
    Target { name: "image", run: decoder, example: encoded },
    Target { name: "runtime", run: runtime, example: source },
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

const SMALL: Settings = Settings { max_declarations: 4 };

fn source(world: &World, rng: &mut Rng) -> Vec<u8> {
    generate(rng, world.functions(), SMALL).source().into_bytes()
}

fn encoded(world: &World, rng: &mut Rng) -> Vec<u8> {
    let program = generate(rng, world.functions(), SMALL);
    let graph = world.graph(&program.source()).expect("a generated program compiles");
    image_of(graph).encode()
}

/// Tokens cover the text in order, and the same tokens laid out otherwise have the same hash.
fn lexer(_: &World, bytes: &[u8]) {
    let Ok(source) = str::from_utf8(bytes) else { return };
    let tokens = tokenize(source);
    let mut end = 0;
    let mut apart = String::new();
    let mut has_unknown = false;
    for token in tokens.tokens() {
        let range = token.span.range();
        let between = source.get(end..range.start).expect("tokens are in order, at the ends of characters");
        let is_space = between.lines().all(|line| {
            let visible = line.split('#').next().unwrap_or_default();
            visible.trim_matches(|c| " \t\r\u{feff}".contains(c)).is_empty()
        });
        assert!(is_space, "text between tokens is space or a comment: {between:?}");
        end = range.end;
        has_unknown |= token.kind == TokenKind::Unknown;
        apart.push_str(tokens.text(*token));
        apart.push_str(" # \n");
    }
    assert_eq!(end, source.len(), "the last token is the end");
    assert_eq!(tokens.tokens().last().map(|token| token.kind), Some(TokenKind::EndOfFile));
    let hash = tokens.syntactic_hash();
    if !has_unknown {
        assert_eq!(tokenize(&apart).syntactic_hash(), hash, "laid out otherwise:\n{apart}");
    }
}

/// What parses is printed, and reads back as the same tree.
fn parser(_: &World, bytes: &[u8]) {
    let Ok(source) = str::from_utf8(bytes) else { return };
    let tokens = tokenize(source);
    let (tree, diagnostics) = parse(&tokens);
    for diagnostic in &diagnostics {
        assert!(source.get(diagnostic.span.range()).is_some(), "{diagnostic:?}");
    }
    if diagnostics.is_empty() {
        let printed = print(&tree).expect("a tree without errors is printed");
        let tokens = tokenize(&printed);
        let (again, diagnostics) = parse(&tokens);
        assert!(diagnostics.is_empty(), "{diagnostics:?}\n{printed}");
        assert_eq!(again.without_spans(), tree.without_spans(), "{printed}");
        assert_eq!(print(&again).as_ref(), Some(&printed));
    }
}

/// There is a well-formed graph or an error. The graph is the same again, also when it was printed or stored.
fn checker(world: &World, bytes: &[u8]) {
    let Ok(source) = str::from_utf8(bytes) else { return };
    let tokens = tokenize(source);
    let compilation = constellation_lang::compile(&tokens, world.functions());
    let Some(graph) = compilation.dag_spec else {
        assert!(
            compilation.diagnostics.iter().any(|found| found.severity == constellation_lang::Severity::Error)
        );
        return;
    };
    assert_eq!(graph.validate().map(drop), Ok(()));
    let printed = print(&parse(&tokens).0).expect("what compiles has no errors in its tree");
    assert_eq!(world.graph(&printed).as_ref(), Ok(&graph), "{printed}");
    let image = image_of(graph);
    let decoded = PipelineImage::decode(&image.encode()).expect("what was encoded decodes");
    assert_eq!(decoded.image, image);
}

/// An image that decodes is well formed, encodes to itself, and is bound or refused.
fn decoder(world: &World, bytes: &[u8]) {
    let Ok(decoded) = PipelineImage::decode(bytes) else { return };
    let image = decoded.image;
    assert_eq!(image.dag_spec.validate().map(drop), Ok(()));
    assert_eq!(image.dag_spec.structural_hash(), image.structural_hash);
    let again = PipelineImage::decode(&image.encode()).expect("what was encoded decodes");
    assert_eq!(again.image, image);
    if let Ok(pipeline) = world.load(image) {
        let types =
            pipeline.inputs.iter().map(|input| (input.name.to_string(), pipeline.ty(input.ty).clone()));
        run(world, &pipeline, types.collect());
    }
}

/// A program that compiles is bound to its modules, and a run of it ends.
fn runtime(world: &World, bytes: &[u8]) {
    let Ok(source) = str::from_utf8(bytes) else { return };
    let Ok(graph) = world.graph(source) else { return };
    let pipeline = world.load(image_of(graph)).unwrap_or_else(|error| panic!("{source}\n{error}"));
    let types = pipeline.inputs.iter().map(|input| (input.name.to_string(), pipeline.ty(input.ty).clone()));
    run(world, &pipeline, types.collect());
}

fn run(
    world: &World,
    pipeline: &std::sync::Arc<constellation_rehydrate::LoadedPipeline>,
    inputs: Vec<(String, Type)>,
) {
    let mut rng = Rng::with_seed(0);
    let inputs: Vec<_> = inputs.into_iter().map(|(name, ty)| (name, value(&mut rng, &ty))).collect();
    let report = world.run(pipeline, &inputs);
    let n_outputs = report.outputs.len() + report.pending_outputs.len();
    assert_eq!(n_outputs, pipeline.outputs.len(), "every output came about or is told: {report:?}");
    // A program may ask for waits that are longer than a run may be.
    let waits = pipeline.nodes.iter().any(|node| match &node.operation {
        Operation::Call(call) => call.throttle.is_some() || !call.retry.delay.is_zero(),
        _ => false,
    });
    if waits && report.errors.iter().any(|error| error.kind == RunErrorKind::DeadlineExceeded) {
        return;
    }
    crate::laws::is_sound(&report).unwrap_or_else(|defects| panic!("{defects}"));
}
