//! The images of the golden files, built in code, in canonical order.

use constellation_store_core::{
    Argument, ArithmeticOperator, Backoff, BranchCase, CallOptions, ComparisonOperator, DagSpec, FieldValue,
    ImageMetadata, InputSpec, Join, Literal, MatchCase, NodeIndex, NodeKind, NodeSpec, OnError, OutputSpec,
    Pattern, PipelineImage, Region, Requirement, SignatureHash, SourceHash, SyntacticHash, Throttle,
    TypeTable, Window,
};
use constellation_types::Type;

/// All images, each with the name of its file.
pub(crate) fn images() -> Vec<(&'static str, PipelineImage)> {
    vec![
        ("input", input()),
        ("literal", literal()),
        ("list", list()),
        ("record", record()),
        ("interpolate", interpolate()),
        ("arithmetic", arithmetic()),
        ("negate", negate()),
        ("compare", compare()),
        ("logic", logic()),
        ("if", if_else()),
        ("branch", branch()),
        ("guard", guard()),
        ("coalesce", coalesce()),
        ("field", field()),
        ("project", project()),
        ("merge", merge()),
        ("coerce", coerce()),
        ("call", call()),
        ("call_options", call_options()),
        ("call_option_variants", call_option_variants()),
        ("lambda", lambda()),
        ("match", match_cases()),
        ("types", types()),
        ("metadata", metadata()),
    ]
}

/// A graph under construction: nodes and types in the order in which they come.
struct Graph {
    types: TypeTable,
    dag_spec: DagSpec,
}

impl Graph {
    fn new<'a>(inputs: impl IntoIterator<Item = (&'a str, Type)>) -> Self {
        let mut types = TypeTable::new();
        let inputs = inputs.into_iter().map(|(name, ty)| InputSpec {
            name: name.into(),
            ty: types.index_of(&ty),
            default: None,
            examples: vec![],
        });
        let dag_spec = DagSpec { inputs: inputs.collect(), ..DagSpec::default() };
        Self { types, dag_spec }
    }

    fn node(&mut self, label: Option<&str>, ty: &Type, operation: NodeKind) -> NodeIndex {
        let node = NodeSpec { label: label.map(Into::into), ty: self.types.index_of(ty), operation };
        self.dag_spec.nodes.push(node);
        self.next(1)
    }

    /// The index of the node `back` before the one that comes next.
    fn next(&self, back: usize) -> NodeIndex {
        NodeIndex(u32::try_from(self.dag_spec.nodes.len() - back).expect("there are few nodes"))
    }

    fn input(&mut self, name: &str, ty: &Type) -> NodeIndex {
        self.node(Some(name), ty, NodeKind::Input { name: name.into() })
    }

    fn int(&mut self, value: i64) -> NodeIndex {
        self.node(None, &Type::Int, NodeKind::Literal(Literal::Int(value)))
    }

    fn string(&mut self, value: &str) -> NodeIndex {
        self.node(None, &Type::String, NodeKind::Literal(Literal::String(value.into())))
    }

    fn output(&mut self, name: &str, ty: &Type, operation: NodeKind) -> NodeIndex {
        let node = self.node(Some(name), ty, operation);
        self.dag_spec.outputs.push(OutputSpec { name: name.into(), node });
        node
    }

    fn require(&mut self, name: &str, major: u32) {
        let signature = SignatureHash::of_bytes(name.as_bytes());
        self.dag_spec.requires.push(Requirement { name: name.into(), major, signature });
    }

    fn image(self) -> PipelineImage {
        let dag_spec = DagSpec { types: self.types.into_types(), ..self.dag_spec };
        let compiled_at = "2026-02-02T14:30:00Z".parse().expect("it is a time");
        let metadata = ImageMetadata::new(&dag_spec, compiled_at);
        PipelineImage::new(dag_spec, metadata)
    }
}

fn user() -> Type {
    Type::record([("id", Type::Int), ("name", Type::String)])
}

/// An input that is used, with a default and examples, and one that is not.
fn input() -> PipelineImage {
    let mut graph = Graph::new([("count", Type::Int), ("note", Type::optional(Type::String))]);
    let count = graph.input("count", &Type::Int);
    graph.dag_spec.outputs.push(OutputSpec { name: "count".into(), node: count });
    let default = graph.int(10);
    let examples = vec![graph.int(1), graph.int(-1)];
    graph.dag_spec.inputs[0].default = Some(default);
    graph.dag_spec.inputs[0].examples = examples;
    graph.image()
}

/// Every kind of constant, with the numbers and characters that are easily lost.
fn literal() -> PipelineImage {
    let mut graph = Graph::new([]);
    let mut outputs = Vec::new();
    for (name, value) in
        [("min", i64::MIN), ("max", i64::MAX), ("beyond_double", 9_007_199_254_740_993), ("zero", 0)]
    {
        outputs.push((format!("int_{name}"), Type::Int, Literal::Int(value)));
    }
    for (name, value) in [
        ("negative_zero", -0.0),
        ("zero", 0.0),
        ("least", 5e-324),
        ("greatest", f64::MAX),
        ("tenth", 0.1),
        ("whole", 12.0),
        ("large", 1e16),
        ("larger", 1e21),
        ("small", 1e-7),
        ("long", 123_456.789_012_345_6),
    ] {
        outputs.push((format!("float_{name}"), Type::Float, Literal::Float(value)));
    }
    for (name, value) in [
        ("empty", ""),
        ("escaped", "\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}"),
        ("beyond_ascii", "caf\u{e9} e\u{301} \u{2028} \u{feff} \u{ffff} \u{1f600}"),
    ] {
        outputs.push((format!("string_{name}"), Type::String, Literal::String(value.into())));
    }
    for (name, value) in [("false", false), ("true", true)] {
        outputs.push((format!("bool_{name}"), Type::Boolean, Literal::Bool(value)));
    }
    outputs.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    for (name, ty, literal) in outputs {
        graph.output(&name, &ty, NodeKind::Literal(literal));
    }
    graph.image()
}

fn list() -> PipelineImage {
    let mut graph = Graph::new([]);
    graph.output("empty", &Type::list(Type::Nothing), NodeKind::List { items: vec![] });
    let items = vec![graph.int(1), graph.int(1)];
    graph.output("numbers", &Type::list(Type::Int), NodeKind::List { items });
    graph.image()
}

fn record() -> PipelineImage {
    let mut graph = Graph::new([]);
    graph.output("empty", &Type::record::<&str>([]), NodeKind::Record { fields: vec![] });
    let id = FieldValue { name: "id".into(), node: graph.int(1) };
    let name = FieldValue { name: "name".into(), node: graph.string("x") };
    graph.output("user", &user(), NodeKind::Record { fields: vec![id, name] });
    graph.image()
}

fn interpolate() -> PipelineImage {
    let mut graph = Graph::new([("count", Type::Int)]);
    let count = graph.input("count", &Type::Int);
    let name = graph.string("x");
    let operation = NodeKind::Interpolate {
        parts: vec!["you have ".into(), String::new(), " ${".into()],
        values: vec![count, name],
    };
    graph.output("text", &Type::String, operation);
    graph.image()
}

fn arithmetic() -> PipelineImage {
    let mut graph = Graph::new([("a", Type::Int), ("b", Type::Int)]);
    let left = graph.input("a", &Type::Int);
    let right = graph.input("b", &Type::Int);
    for (name, operator) in [
        ("difference", ArithmeticOperator::Subtract),
        ("product", ArithmeticOperator::Multiply),
        ("quotient", ArithmeticOperator::Divide),
        ("sum", ArithmeticOperator::Add),
    ] {
        graph.output(name, &Type::Int, NodeKind::Arithmetic { operator, left, right });
    }
    graph.image()
}

fn negate() -> PipelineImage {
    let mut graph = Graph::new([("x", Type::Float)]);
    let operand = graph.input("x", &Type::Float);
    graph.output("y", &Type::Float, NodeKind::Negate { operand });
    graph.image()
}

fn compare() -> PipelineImage {
    let mut graph = Graph::new([("a", Type::String), ("b", Type::String)]);
    let left = graph.input("a", &Type::String);
    let right = graph.input("b", &Type::String);
    for (name, operator) in [
        ("equal", ComparisonOperator::Equal),
        ("greater", ComparisonOperator::Greater),
        ("greater_or_equal", ComparisonOperator::GreaterOrEqual),
        ("less", ComparisonOperator::Less),
        ("less_or_equal", ComparisonOperator::LessOrEqual),
        ("not_equal", ComparisonOperator::NotEqual),
    ] {
        graph.output(name, &Type::Boolean, NodeKind::Compare { operator, left, right });
    }
    graph.image()
}

fn logic() -> PipelineImage {
    let mut graph = Graph::new([("a", Type::Boolean), ("b", Type::Boolean)]);
    let left = graph.input("a", &Type::Boolean);
    let right = graph.input("b", &Type::Boolean);
    graph.output("both", &Type::Boolean, NodeKind::And { left, right });
    graph.output("either", &Type::Boolean, NodeKind::Or { left, right });
    graph.output("neither", &Type::Boolean, NodeKind::Not { operand: graph.next(1) });
    graph.image()
}

fn if_else() -> PipelineImage {
    let mut graph = Graph::new([("flag", Type::Boolean)]);
    let condition = graph.input("flag", &Type::Boolean);
    let then = graph.int(1);
    let otherwise = graph.int(2);
    graph.output("x", &Type::Int, NodeKind::If { condition, then, otherwise });
    graph.image()
}

fn branch() -> PipelineImage {
    let mut graph = Graph::new([("a", Type::Boolean), ("b", Type::Boolean)]);
    let first = BranchCase { condition: graph.input("a", &Type::Boolean), value: graph.int(1) };
    let second = BranchCase { condition: graph.input("b", &Type::Boolean), value: graph.int(2) };
    let otherwise = graph.int(3);
    graph.output("x", &Type::Int, NodeKind::Branch { cases: vec![first, second], otherwise });
    graph.image()
}

fn guard() -> PipelineImage {
    let mut graph = Graph::new([("flag", Type::Boolean)]);
    let value = graph.int(1);
    let condition = graph.input("flag", &Type::Boolean);
    graph.output("x", &Type::optional(Type::Int), NodeKind::Guard { value, condition });
    graph.image()
}

fn coalesce() -> PipelineImage {
    let mut graph = Graph::new([("maybe", Type::optional(Type::Int))]);
    let value = graph.input("maybe", &Type::optional(Type::Int));
    let default = graph.int(0);
    graph.output("x", &Type::Int, NodeKind::Coalesce { value, default });
    graph.image()
}

fn field() -> PipelineImage {
    let mut graph = Graph::new([("user", user()), ("users", Type::list(user()))]);
    let source = graph.input("user", &user());
    graph.output("id", &Type::Int, NodeKind::Field { source, name: "id".into() });
    let source = graph.input("users", &Type::list(user()));
    graph.output("ids", &Type::list(Type::Int), NodeKind::Field { source, name: "id".into() });
    graph.image()
}

fn project() -> PipelineImage {
    let mut graph = Graph::new([("user", user())]);
    let source = graph.input("user", &user());
    let names = vec!["name".into(), "id".into()];
    let ty = Type::record([("name", Type::String), ("id", Type::Int)]);
    graph.output("x", &ty, NodeKind::Project { source, names });
    graph.image()
}

fn merge() -> PipelineImage {
    let scored = Type::record([("score", Type::Float)]);
    let mut graph = Graph::new([("scored", scored.clone()), ("user", user())]);
    let left = graph.input("user", &user());
    let right = graph.input("scored", &scored);
    let merged = Type::record([("id", Type::Int), ("name", Type::String), ("score", Type::Float)]);
    graph.output("x", &merged, NodeKind::Merge { left, right });
    graph.image()
}

fn coerce() -> PipelineImage {
    let mut graph = Graph::new([("n", Type::Int)]);
    let value = graph.input("n", &Type::Int);
    graph.output("float", &Type::Float, NodeKind::Coerce { value });
    graph.output("tagged", &Type::union([Type::Int, Type::String]), NodeKind::Coerce { value });
    graph.image()
}

/// Two major versions of a module, and equal calls, which stay apart.
fn call() -> PipelineImage {
    let mut graph = Graph::new([("text", Type::String)]);
    graph.require("Uppercase", 1);
    graph.require("Uppercase", 2);
    graph.require("text.trim", 1);
    let text = graph.input("text", &Type::String);
    for (name, module, major) in [
        ("first", "Uppercase", 1),
        ("other", "Uppercase", 2),
        ("second", "Uppercase", 1),
        ("trimmed", "text.trim", 1),
    ] {
        let arguments = vec![Argument { name: "text".into(), node: text }];
        let module = module.into();
        let options = Box::default();
        graph.output(name, &Type::String, NodeKind::Call { module, major, arguments, options });
    }
    graph.image()
}

/// A call with every option there is.
fn call_options() -> PipelineImage {
    let mut graph = Graph::new([("text", Type::String)]);
    graph.require("Enrich", 1);
    let arguments = vec![Argument { name: "text".into(), node: graph.input("text", &Type::String) }];
    let options = CallOptions {
        retry: Some(0),
        timeout_ms: Some(1),
        delay_ms: Some(250),
        backoff: Some(Backoff::Exponential),
        fallback: Some(graph.string("none")),
        cache_ms: Some((1 << 53) - 1),
        cache_backend: Some("memory".into()),
        throttle: Some(Throttle { count: 10, per_ms: 60_000 }),
        concurrency: Some(4),
        on_error: Some(OnError::Skip),
        lazy: Some(true),
        priority: Some(100),
        batch: Some(100),
        batch_timeout_ms: Some(5_000),
        window: Some(Window::Sliding { size_ms: 300_000, slide_ms: 60_000 }),
        checkpoint_ms: Some(30_000),
        join: Some(Join::Buffer { timeout_ms: 5_000 }),
    };
    graph.output(
        "x",
        &Type::String,
        NodeKind::Call { module: "Enrich".into(), major: 1, arguments, options: options.into() },
    );
    graph.image()
}

/// Calls with each value of the options that are a choice.
fn call_option_variants() -> PipelineImage {
    let none = CallOptions::default;
    let variants = [
        ("backoff_exponential", CallOptions { backoff: Some(Backoff::Exponential), ..none() }),
        ("backoff_fixed", CallOptions { backoff: Some(Backoff::Fixed), ..none() }),
        ("backoff_linear", CallOptions { backoff: Some(Backoff::Linear), ..none() }),
        ("join_buffer", CallOptions { join: Some(Join::Buffer { timeout_ms: 1 }), ..none() }),
        ("join_combine_latest", CallOptions { join: Some(Join::CombineLatest), ..none() }),
        ("join_zip", CallOptions { join: Some(Join::Zip), ..none() }),
        ("lazy_false", CallOptions { lazy: Some(false), ..none() }),
        ("on_error_log", CallOptions { on_error: Some(OnError::Log), ..none() }),
        ("on_error_propagate", CallOptions { on_error: Some(OnError::Propagate), ..none() }),
        ("on_error_skip", CallOptions { on_error: Some(OnError::Skip), ..none() }),
        ("on_error_wrap", CallOptions { on_error: Some(OnError::Wrap), ..none() }),
        ("priority_least", CallOptions { priority: Some(0), ..none() }),
        ("window_count", CallOptions { window: Some(Window::Count { size: 1 }), ..none() }),
        (
            "window_sliding",
            CallOptions { window: Some(Window::Sliding { size_ms: 2, slide_ms: 1 }), ..none() },
        ),
        ("window_tumbling", CallOptions { window: Some(Window::Tumbling { size_ms: 1 }), ..none() }),
    ];
    let mut graph = Graph::new([]);
    graph.require("Tick", 1);
    for (name, options) in variants {
        let ty = match options.on_error {
            Some(OnError::Wrap) => Type::record([
                ("ok", Type::Boolean),
                ("value", Type::optional(Type::Int)),
                ("error", Type::optional(Type::String)),
            ]),
            _ => Type::Int,
        };
        graph.output(
            name,
            &ty,
            NodeKind::Call { module: "Tick".into(), major: 1, arguments: vec![], options: options.into() },
        );
    }
    graph.image()
}

/// `base = 1; f = (a) => (b) => a + b + base; g = (a) => a`
fn lambda() -> PipelineImage {
    let mut graph = Graph::new([]);
    let unary = Type::function([Type::Int], Type::Int);
    let add = |left, right| NodeKind::Arithmetic { operator: ArithmeticOperator::Add, left, right };
    let base = graph.node(Some("base"), &Type::Int, NodeKind::Literal(Literal::Int(1)));
    let a = graph.node(None, &Type::Int, NodeKind::Parameter);
    let b = graph.node(None, &Type::Int, NodeKind::Parameter);
    let sum = graph.node(None, &Type::Int, add(a, b));
    let result = graph.node(None, &Type::Int, add(sum, base));
    let body = Region { start: b, end: graph.next(0), parameters: 1, result };
    let inner = graph.node(None, &unary, NodeKind::Lambda { captures: vec![base, a], body });
    let body = Region { start: a, end: graph.next(0), parameters: 1, result: inner };
    let curried = Type::function([Type::Int], unary.clone());
    graph.output("f", &curried, NodeKind::Lambda { captures: vec![base], body });
    let a = graph.node(None, &Type::Int, NodeKind::Parameter);
    let body = Region { start: a, end: graph.next(0), parameters: 1, result: a };
    graph.output("g", &unary, NodeKind::Lambda { captures: vec![], body });
    graph.image()
}

/// Every kind of pattern; the bodies refer to what they bind, to what is outside, and hold nodes of their own.
fn match_cases() -> PipelineImage {
    let shape = Type::union([user(), Type::Int, Type::String]);
    let mut graph = Graph::new([("value", shape.clone())]);
    let scrutinee = graph.input("value", &shape);
    let outside = graph.string("outside");
    let id = graph.node(None, &Type::Int, NodeKind::Parameter);
    let name = graph.node(None, &Type::String, NodeKind::Parameter);
    let parts = vec![String::new(), ": ".into(), String::new()];
    let text = graph.node(None, &Type::String, NodeKind::Interpolate { parts, values: vec![id, name] });
    let fields = Region { start: id, end: graph.next(0), parameters: 2, result: text };
    let bound = graph.node(None, &Type::String, NodeKind::Parameter);
    let is = Region { start: bound, end: graph.next(0), parameters: 1, result: bound };
    let any = Region { start: graph.next(0), end: graph.next(0), parameters: 0, result: outside };
    let string = graph.types.index_of(&Type::String);
    let cases = vec![
        MatchCase { pattern: Pattern::Fields(vec!["id".into(), "name".into()]), body: fields },
        MatchCase { pattern: Pattern::Is(string), body: is },
        MatchCase { pattern: Pattern::Any, body: any },
    ];
    graph.output("x", &Type::String, NodeKind::Match { scrutinee, cases });
    graph.image()
}

/// Every kind of type.
fn types() -> PipelineImage {
    let union = Type::union([user(), Type::optional(Type::Float)]);
    let mut graph = Graph::new([
        ("boolean", Type::Boolean),
        ("float", Type::Float),
        ("function", Type::function([Type::Int, Type::Boolean], Type::String)),
        ("int", Type::Int),
        ("list", Type::list(Type::list(Type::Int))),
        ("map", Type::map(Type::String, user())),
        ("nothing", Type::list(Type::Nothing)),
        ("optional", Type::optional(Type::Int)),
        ("record", Type::record([("b", Type::Int), ("a", union.clone())])),
        ("seq", Type::seq(Type::Int)),
        ("string", Type::String),
        ("union", union),
    ]);
    let int = graph.input("int", &Type::Int);
    graph.dag_spec.outputs.push(OutputSpec { name: "int".into(), node: int });
    graph.image()
}

/// Everything beside the graph, and members that this version does not know.
fn metadata() -> PipelineImage {
    let mut image = negate();
    image.metadata.compiled_at = "2026-02-02T14:30:00.123Z".parse().expect("it is a time");
    image.metadata.source_hash = Some(SourceHash::of_bytes(b"in x: Float\ny = -x\nout y\n"));
    image.metadata.syntactic_hash = Some(SyntacticHash::of_bytes(b"tokens"));
    image.metadata.compiler = Some("0.1.0".into());
    image.metadata.extra.insert("team".into(), "risk".into());
    image.extra.insert("note".into(), serde_json::json!({ "z": [1, null, true], "a": "caf\u{e9}" }));
    image
}
