//! The data modules of the reference implementation's example application.

#![expect(clippy::needless_pass_by_value, reason = "arguments are read as shared lists")]

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};

use crate::define::{List, Namespace};
use crate::list::{range, sum};
use crate::math::overflow;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut data = Namespace::global(registry);
    data.function("SumList", ["numbers"], "The sum of integers, 0 of none; an overflow is an error.")
        .result("total")
        .example("SumList([1, 2, 3])", "6")
        .define(|numbers: List<i64>| sum(numbers.iter(), "SumList"))?;
    data.function("Average", ["numbers"], "The mean of integers, 0 of none.")
        .result("average")
        .example("Average([1, 2])", "1.5")
        .define(average)?;
    data.function("Max", ["numbers"], "The largest of integers, 0 of none.")
        .result("max")
        .example("Max([3, 1, 2])", "3")
        .define(|numbers: List<i64>| numbers.iter().max().unwrap_or(0))?;
    data.function("Min", ["numbers"], "The smallest of integers, 0 of none.")
        .result("min")
        .example("Min([3, 1, 2])", "1")
        .define(|numbers: List<i64>| numbers.iter().min().unwrap_or(0))?;
    data.function("FilterGreaterThan", ["numbers", "threshold"], "The integers above a threshold, in order.")
        .result("filtered")
        .example("FilterGreaterThan([3, 1, 2], 1)", "[3,2]")
        .define(|numbers: List<i64>, threshold: i64| {
            numbers.iter().filter(|number| *number > threshold).collect::<List<i64>>()
        })?;
    data.function(
        "MultiplyEach",
        ["numbers", "multiplier"],
        "Each integer times a multiplier; an overflow is an error.",
    )
    .result("result")
    .example("MultiplyEach([1, 2], 10)", "[10,20]")
    .define(multiply_each)?;
    data.function(
        "Range",
        ["start", "end"],
        "The integers from the first to the last, both included; none when the last is before the first.",
    )
    .result("numbers")
    .example("Range(3, 5)", "[3,4,5]")
    .define(|start: i64, end: i64| range(start, end, "Range"))?;
    data.function(
        "FormatNumber",
        ["number"],
        "An integer in decimal with a comma after each group of three digits.",
    )
    .result("formatted")
    .example("FormatNumber(-1234567)", r#""-1,234,567""#)
    .define(format_number)
}

fn average(numbers: List<i64>) -> f64 {
    if numbers.0.is_empty() {
        return 0.0;
    }
    let sum: i128 = numbers.iter().map(i128::from).sum();
    #[expect(clippy::cast_precision_loss, reason = "the nearest float is the result")]
    let (sum, count) = (sum as f64, numbers.0.len() as f64);
    sum / count
}

fn multiply_each(numbers: List<i64>, multiplier: i64) -> Result<List<i64>, ModuleError> {
    numbers
        .iter()
        .map(|number| number.checked_mul(multiplier).ok_or_else(|| overflow("MultiplyEach")))
        .collect()
}

fn format_number(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 2);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
