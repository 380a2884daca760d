//! Call options are carried into the image as they are written.

use constellation_store_core::{Backoff, CallOptions, Join, NodeKind, OnError, Throttle, Window};

use crate::support::{dag, errors, type_of_x, warnings};

fn options(clause: &str) -> CallOptions {
    let dag = dag(&format!("in q: String x = SlowQuery(q) with {clause} out x"));
    let options = dag.nodes.iter().find_map(|node| match &node.operation {
        NodeKind::Call { options, .. } => Some(CallOptions::clone(options)),
        _ => None,
    });
    options.expect("the call is there")
}

#[test]
fn every_option_reaches_the_image() {
    let all = options(
        "retry: 3, timeout: 30s, delay: 500ms, backoff: exponential, cache: 5min, cache_backend: \"a\\b\", \
         throttle: 100/1min, concurrency: 4, on_error: log, lazy, priority: high",
    );
    let expected = CallOptions {
        retry: Some(3),
        timeout_ms: Some(30_000),
        delay_ms: Some(500),
        backoff: Some(Backoff::Exponential),
        cache_ms: Some(300_000),
        cache_backend: Some("a\\b".into()),
        throttle: Some(Throttle { count: 100, per_ms: 60_000 }),
        concurrency: Some(4),
        on_error: Some(OnError::Log),
        lazy: Some(true),
        priority: Some(80),
        ..CallOptions::default()
    };
    assert_eq!(all, expected);
    let streaming =
        options("batch: 10, batch_timeout: 1h, window: sliding(2d, 1d), checkpoint: 1 s, join: buffer(5ms)");
    let expected = CallOptions {
        batch: Some(10),
        batch_timeout_ms: Some(3_600_000),
        window: Some(Window::Sliding { size_ms: 172_800_000, slide_ms: 86_400_000 }),
        checkpoint_ms: Some(1_000),
        join: Some(Join::Buffer { timeout_ms: 5 }),
        ..CallOptions::default()
    };
    assert_eq!(streaming, expected);
    assert_eq!(options("window: tumbling(1s)").window, Some(Window::Tumbling { size_ms: 1_000 }));
    assert_eq!(options("window: count(7)").window, Some(Window::Count { size: 7 }));
    assert_eq!(options("join: zip").join, Some(Join::Zip));
    assert_eq!(options("on_error: fail").on_error, Some(OnError::Propagate));
    assert_eq!(options("lazy: false").lazy, Some(false));
}

#[test]
fn the_last_of_repeated_options_wins_and_priorities_are_clamped() {
    assert_eq!(options("retry: 1, retry: 2").retry, Some(2));
    assert_eq!(options("priority: 1000").priority, Some(100));
    assert_eq!(options("priority: -5").priority, Some(0));
    assert_eq!(options("priority: background").priority, Some(0));
    assert_eq!(options("retry: 0").retry, Some(0));
}

#[test]
fn a_comma_without_an_option_belongs_to_the_list_around() {
    assert_eq!(type_of_x("in a: String x = concat(trim(a) with retry: 3, a) out x"), "String");
    assert_eq!(
        type_of_x("in a: String x = { r: trim(a) with retry: 3, lazy-one: a } out x"),
        "{ r: String, lazy-one: String }"
    );
    assert_eq!(type_of_x("in r: String x = Describe({ name: trim(r) with retry: 3 }) out x"), "String");
}

#[test]
fn wrap_changes_the_type_of_the_call() {
    assert_eq!(
        type_of_x("in q: String x = SlowQuery(q) with on_error: wrap out x"),
        "{ ok: Boolean, value: Optional<String>, error: Optional<String> }"
    );
    assert_eq!(
        type_of_x(
            "in q: String r = SlowQuery(q) with on_error: wrap, fallback: \"f\" x = r.value ?? \"\" out x"
        ),
        "String"
    );
}

#[test]
fn a_fallback_is_a_whole_expression() {
    let source = "in q: String x = SlowQuery(q) with fallback: trim(q) with retry: 1, cache: 5s out x";
    let dag = dag(source);
    let cached: Vec<&str> = dag
        .nodes
        .iter()
        .filter_map(|node| match &node.operation {
            NodeKind::Call { module, options, .. } if options.cache_ms.is_some() => Some(module.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(cached, ["stdlib.string.trim"]);
    assert_eq!(type_of_x("x = Scale(1.5, 2) with fallback: 0 out x"), "Float");
    assert_eq!(type_of_x("x = SumList([]) with retry: 1 + 1 out x"), "Int");
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let of = |clause: &str| warnings(&format!("in q: String x = SlowQuery(q) with {clause} out x"));
    assert_eq!(of("delay: 1s"), ["'delay' without 'retry' has no effect"]);
    assert!(of("cache_backend: \"c\"").contains(&"'cache_backend' without 'cache' has no effect".to_owned()));
    assert_eq!(
        of("retry: 11"),
        ["High retry count (11) - consider using a lower value with exponential backoff"]
    );
    let both = of("batch: 5, window: count(3)");
    assert!(both[0].contains("mutually exclusive") && both.len() == 3, "{both:#?}");
    let applied = "retry: 3, delay: 1s, backoff: fixed, timeout: 1s, fallback: q, on_error: skip, lazy, cache: 1s, \
                   cache_backend: \"c\", throttle: 1/1s, concurrency: 1, priority: high";
    assert_eq!(of(applied), [""; 0]);
    let with_lambda = warnings(
        "use stdlib.collection in q: List<Int> x = map(q, (n) => n) with throttle: 1/1s, cache: 1s, concurrency: 1, \
         priority: high, retry: 1 out x",
    );
    let of_lambda = |option| format!("'{option}' has no effect on a call that is given a lambda");
    assert_eq!(with_lambda, ["cache", "concurrency"].map(of_lambda));
    for (option, value) in [("batch", "2"), ("window", "count(2)"), ("checkpoint", "1s"), ("join", "zip")] {
        let warning = format!("'{option}' is kept in the image, but nothing applies it yet");
        assert_eq!(of(&format!("{option}: {value}")), [warning]);
    }
}

#[test]
fn bad_values_are_all_reported() {
    let source = "in q: String x = SlowQuery(q) with retry: -1, timeout: 5m, cache: 0s, throttle: 0/1min, \
                  concurrency: 0, on_error: explode, window: count(0) y = nope out x";
    let errors = errors(source);
    assert_eq!(errors.len(), 4, "{errors:#?}");
    let source = "in q: String x = SlowQuery(q) with cache: 0s, throttle: 0/1min, concurrency: 0, \
                  window: count(0), throttle: 1/0s out x";
    let errors = crate::support::errors(source);
    assert_eq!(errors.len(), 5, "{errors:#?}");
    assert!(
        errors[1].contains("Invalid value for 'throttle': 0/1Minutes (count must be > 0)"),
        "{errors:#?}"
    );
}
