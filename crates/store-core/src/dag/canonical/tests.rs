//! Against the sorted form of what serializes: of a `serde_json::Value`, and of the graph itself.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::Union;

use super::*;
use crate::canonical::to_canonical;
use crate::canonical_json;

/// Names as programs have them, and any text, since canonical JSON is taken of whatever was put in a graph.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,8}", any::<String>()]
}

/// Numbers around those that canonical JSON rounds are as likely as others.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), (1_u64 << 53) - 2..(1 << 53) + 3, 0..1_000_u64]
}

fn index() -> impl Strategy<Value = NodeIndex> {
    any::<u32>().prop_map(NodeIndex)
}

fn ty() -> impl Strategy<Value = TypeIndex> {
    any::<u32>().prop_map(TypeIndex)
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<i64>().prop_map(Literal::Int),
        any::<f64>().prop_filter("a literal is finite", |float| float.is_finite()).prop_map(Literal::Float),
        text().prop_map(Literal::String),
        any::<bool>().prop_map(Literal::Bool),
    ]
}

fn types() -> impl Strategy<Value = TypeSpec> {
    let field = (text(), ty()).prop_map(|(name, ty)| FieldSpec { name, ty });
    prop_oneof![
        Just(TypeSpec::Nothing),
        Just(TypeSpec::String),
        Just(TypeSpec::Int),
        Just(TypeSpec::Float),
        Just(TypeSpec::Boolean),
        ty().prop_map(TypeSpec::List),
        ty().prop_map(TypeSpec::Seq),
        ty().prop_map(TypeSpec::Optional),
        (ty(), ty()).prop_map(|(key, value)| TypeSpec::Map { key, value }),
        vec(field, 0..3).prop_map(TypeSpec::Record),
        vec(ty(), 0..3).prop_map(TypeSpec::Union),
        (vec(ty(), 0..3), ty()).prop_map(|(parameters, result)| TypeSpec::Function { parameters, result }),
    ]
}

/// Options of which any may be missing.
fn options() -> impl Strategy<Value = CallOptions> {
    let number = || option::of(number());
    let window = prop_oneof![
        self::number().prop_map(|size_ms| Window::Tumbling { size_ms }),
        (self::number(), self::number())
            .prop_map(|(size_ms, slide_ms)| Window::Sliding { size_ms, slide_ms }),
        self::number().prop_map(|size| Window::Count { size }),
    ];
    let join = prop_oneof![
        Just(Join::CombineLatest),
        Just(Join::Zip),
        self::number().prop_map(|timeout_ms| Join::Buffer { timeout_ms }),
    ];
    let throttle = (self::number(), self::number()).prop_map(|(count, per_ms)| Throttle { count, per_ms });
    let backoff = prop_oneof![Just(Backoff::Fixed), Just(Backoff::Linear), Just(Backoff::Exponential)];
    let on_error =
        prop_oneof![Just(OnError::Propagate), Just(OnError::Skip), Just(OnError::Log), Just(OnError::Wrap)];
    let timing = (number(), number(), number(), option::of(backoff), option::of(index()));
    let caching = (number(), option::of(text()), option::of(throttle), number(), option::of(on_error));
    let queue = (any::<Option<bool>>(), any::<Option<u8>>());
    let streaming = (number(), number(), option::of(window), number(), option::of(join));
    (timing, caching, queue, streaming).prop_map(|(timing, caching, (lazy, priority), streaming)| {
        let (retry, timeout_ms, delay_ms, backoff, fallback) = timing;
        let (cache_ms, cache_backend, throttle, concurrency, on_error) = caching;
        let (batch, batch_timeout_ms, window, checkpoint_ms, join) = streaming;
        CallOptions {
            retry,
            timeout_ms,
            delay_ms,
            backoff,
            fallback,
            cache_ms,
            cache_backend,
            throttle,
            concurrency,
            on_error,
            lazy,
            priority,
            batch,
            batch_timeout_ms,
            window,
            checkpoint_ms,
            join,
        }
    })
}

fn region() -> impl Strategy<Value = Region> {
    (index(), index(), any::<u32>(), index()).prop_map(|(start, end, parameters, result)| Region {
        start,
        end,
        parameters,
        result,
    })
}

fn match_case() -> impl Strategy<Value = MatchCase> {
    let pattern = prop_oneof![
        vec(text(), 0..3).prop_map(Pattern::Fields),
        ty().prop_map(Pattern::Is),
        Just(Pattern::Any),
    ];
    (pattern, region()).prop_map(|(pattern, body)| MatchCase { pattern, body })
}

fn arithmetic_operator() -> impl Strategy<Value = ArithmeticOperator> {
    use ArithmeticOperator::{Add, Divide, Multiply, Subtract};
    prop_oneof![Just(Add), Just(Subtract), Just(Multiply), Just(Divide)]
}

fn comparison_operator() -> impl Strategy<Value = ComparisonOperator> {
    use ComparisonOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    prop_oneof![
        Just(Equal),
        Just(NotEqual),
        Just(Less),
        Just(LessOrEqual),
        Just(Greater),
        Just(GreaterOrEqual)
    ]
}

/// Every kind of node, each as likely as the others.
fn operation() -> impl Strategy<Value = NodeKind> {
    let pair = || (index(), index());
    let field = (text(), index()).prop_map(|(name, node)| FieldValue { name, node });
    let argument = (text(), index()).prop_map(|(name, node)| Argument { name, node });
    let case = pair().prop_map(|(condition, value)| BranchCase { condition, value });
    Union::new([
        Just(NodeKind::Parameter).boxed(),
        text().prop_map(|name| NodeKind::Input { name }).boxed(),
        literal().prop_map(NodeKind::Literal).boxed(),
        vec(index(), 0..3).prop_map(|items| NodeKind::List { items }).boxed(),
        vec(field, 0..3).prop_map(|fields| NodeKind::Record { fields }).boxed(),
        (vec(text(), 0..3), vec(index(), 0..3))
            .prop_map(|(parts, values)| NodeKind::Interpolate { parts, values })
            .boxed(),
        (arithmetic_operator(), pair())
            .prop_map(|(operator, (left, right))| NodeKind::Arithmetic { operator, left, right })
            .boxed(),
        index().prop_map(|operand| NodeKind::Negate { operand }).boxed(),
        (comparison_operator(), pair())
            .prop_map(|(operator, (left, right))| NodeKind::Compare { operator, left, right })
            .boxed(),
        pair().prop_map(|(left, right)| NodeKind::And { left, right }).boxed(),
        pair().prop_map(|(left, right)| NodeKind::Or { left, right }).boxed(),
        index().prop_map(|operand| NodeKind::Not { operand }).boxed(),
        (index(), pair())
            .prop_map(|(condition, (then, otherwise))| NodeKind::If { condition, then, otherwise })
            .boxed(),
        (vec(case, 0..3), index())
            .prop_map(|(cases, otherwise)| NodeKind::Branch { cases, otherwise })
            .boxed(),
        pair().prop_map(|(value, condition)| NodeKind::Guard { value, condition }).boxed(),
        pair().prop_map(|(value, default)| NodeKind::Coalesce { value, default }).boxed(),
        (index(), text()).prop_map(|(source, name)| NodeKind::Field { source, name }).boxed(),
        (index(), vec(text(), 0..3)).prop_map(|(source, names)| NodeKind::Project { source, names }).boxed(),
        pair().prop_map(|(left, right)| NodeKind::Merge { left, right }).boxed(),
        index().prop_map(|value| NodeKind::Coerce { value }).boxed(),
        ((text(), any::<u32>()), vec(argument, 0..3), options())
            .prop_map(|((module, major), arguments, options)| NodeKind::Call {
                module,
                major,
                arguments,
                options: Box::new(options),
            })
            .boxed(),
        (vec(index(), 0..3), region())
            .prop_map(|(captures, body)| NodeKind::Lambda { captures, body })
            .boxed(),
        (index(), vec(match_case(), 0..3))
            .prop_map(|(scrutinee, cases)| NodeKind::Match { scrutinee, cases })
            .boxed(),
    ])
}

/// Graphs that need not be well formed: canonical JSON is taken of any.
fn graph() -> impl Strategy<Value = DagSpec> {
    let node = (option::of(text()), ty(), operation()).prop_map(|(label, ty, operation)| NodeSpec {
        label: label.map(Into::into),
        ty,
        operation,
    });
    let input = (text(), ty(), option::of(index()), vec(index(), 0..3))
        .prop_map(|(name, ty, default, examples)| InputSpec { name, ty, default, examples });
    let output = (text(), index()).prop_map(|(name, node)| OutputSpec { name, node });
    let requirement = (text(), any::<u32>(), any::<[u8; 32]>()).prop_map(|(name, major, bytes)| {
        Requirement { name, major, signature: SignatureHash::from_bytes(bytes) }
    });
    (vec(input, 0..3), vec(output, 0..3), vec(types(), 0..8), vec(node, 0..16), vec(requirement, 0..3))
        .prop_map(|(inputs, outputs, types, nodes, requires)| DagSpec {
            inputs,
            outputs,
            types,
            nodes,
            requires,
        })
}

proptest! {
    #[test]
    fn a_graph_is_written_as_what_serializes_is_sorted(graph in graph()) {
        let text = |json: Vec<u8>| String::from_utf8(json).unwrap();
        let direct = text(graph.canonical_json());
        prop_assert_eq!(&direct, &text(canonical_json(&serde_json::to_value(&graph).unwrap())));
        prop_assert_eq!(&direct, &text(to_canonical(&graph).unwrap()));
    }
}

#[test]
#[should_panic(expected = "finite")]
fn a_float_without_a_text_in_json_panics() {
    let operation = NodeKind::Literal(Literal::Float(f64::NAN));
    let nodes = vec![NodeSpec { label: None, ty: TypeIndex(0), operation }];
    DagSpec { nodes, ..DagSpec::default() }.canonical_json();
}
