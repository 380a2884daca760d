//! The data modules of the reference implementation's example application.

#![expect(clippy::needless_pass_by_value, reason = "arguments are read as shared lists")]

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};

use crate::bounds::check_list;
use crate::define::{List, Namespace};
use crate::list::sum;
use crate::math::overflow;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut data = Namespace::global(registry);
    data.define_with_result(
        "SumList",
        ["numbers"],
        "total",
        "The sum of integers, 0 of none; an overflow is an error.",
        |numbers: List<i64>| sum(numbers.iter(), "SumList"),
    )?;
    data.define_with_result("Average", ["numbers"], "average", "The mean of integers, 0 of none.", average)?;
    data.define_with_result(
        "Max",
        ["numbers"],
        "max",
        "The largest of integers, 0 of none.",
        |numbers: List<i64>| numbers.iter().max().unwrap_or(0),
    )?;
    data.define_with_result(
        "Min",
        ["numbers"],
        "min",
        "The smallest of integers, 0 of none.",
        |numbers: List<i64>| numbers.iter().min().unwrap_or(0),
    )?;
    data.define_with_result(
        "FilterGreaterThan",
        ["numbers", "threshold"],
        "filtered",
        "The integers above a threshold, in order.",
        |numbers: List<i64>, threshold: i64| {
            numbers.iter().filter(|number| *number > threshold).collect::<List<i64>>()
        },
    )?;
    data.define_with_result(
        "MultiplyEach",
        ["numbers", "multiplier"],
        "result",
        "Each integer times a multiplier; an overflow is an error.",
        multiply_each,
    )?;
    data.define_with_result(
        "Range",
        ["start", "end"],
        "numbers",
        "The integers from the first to the last, both included; none when the last is before the first.",
        range,
    )?;
    data.define_with_result(
        "FormatNumber",
        ["number"],
        "formatted",
        "An integer in decimal with a comma after each group of three digits, as in -1,234,567.",
        format_number,
    )
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

fn range(start: i64, end: i64) -> Result<List<i64>, ModuleError> {
    if start <= end {
        let steps = usize::try_from(end.abs_diff(start)).ok();
        check_list(steps.and_then(|steps| steps.checked_add(1)), "Range")?;
    }
    Ok((start..=end).collect())
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
