//! Lambdas, and the functions that take them.

use serde_json::json;

use crate::program::x_of;

const USE: &str = "use stdlib.collection\nuse stdlib.math\nuse stdlib.compare\n";

/// Output `x`, the value of an expression over `numbers`.
async fn of_numbers(expression: &str, numbers: &[i64]) -> serde_json::Value {
    let source = format!("{USE}in numbers: List<Int>\nx = {expression}\nout x");
    x_of(&source, json!({ "numbers": numbers })).await
}

#[tokio::test]
async fn the_functions_of_the_reference_give_its_results() {
    for (expression, numbers, expected) in [
        ("filter(numbers, (x) => gt(x, 0))", &[1, -2, 3, -4, 5][..], json!([1, 3, 5])),
        ("filter(numbers, (x) => gt(x, 100))", &[1, 2, 3], json!([])),
        ("map(numbers, (x) => multiply(x, 2))", &[1, 2, 3], json!([2, 4, 6])),
        ("map(numbers, (x) => add(x, 10))", &[1, 2, 3], json!([11, 12, 13])),
        ("all(numbers, (x) => gt(x, 0))", &[1, 2, 3], json!(true)),
        ("all(numbers, (x) => gt(x, 0))", &[1, -2, 3], json!(false)),
        ("all(numbers, (x) => gt(x, 0))", &[], json!(true)),
        ("any(numbers, (x) => lt(x, 0))", &[1, -2, 3], json!(true)),
        ("any(numbers, (x) => lt(x, 0))", &[1, 2, 3], json!(false)),
        ("any(numbers, (x) => lt(x, 0))", &[], json!(false)),
        (
            "map(filter(numbers, (x) => gt(x, 0)), (x) => multiply(x, 2))",
            &[1, -2, 3, -4, 5],
            json!([2, 6, 10]),
        ),
        ("filter(numbers, (x) => gt(x, 0) and lt(x, 10))", &[-5, 1, 5, 15, 20], json!([1, 5])),
        ("filter(numbers, (x) => lt(x, 0) or gt(x, 10))", &[-5, 1, 5, 15, 20], json!([-5, 15, 20])),
        ("filter(numbers, (x) => not gt(x, 5))", &[1, 3, 5, 7, 9], json!([1, 3, 5])),
    ] {
        assert_eq!(of_numbers(expression, numbers).await, expected, "{expression} of {numbers:?}");
    }
}

#[tokio::test]
async fn lambdas_capture_inputs_computed_values_and_outer_parameters() {
    let source = format!(
        "{USE}in numbers: List<Int>\nin source: Int\nsum = reduce(numbers, 0, (a, n) => a + n)\n\
         x = map(numbers, (n) => map(numbers, (m) => n * 100 + m * 10 + source + sum))\nout x"
    );
    let x = x_of(&source, json!({ "numbers": [1, 2], "source": 3 })).await;
    assert_eq!(x, json!([[116, 126], [216, 226]]));
}
