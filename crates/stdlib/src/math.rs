//! `stdlib.math`: integers, rounding, and functions of floats.
//!
//! The operators `+ - * /` and the comparisons work on floats already, so there are no functions for them.

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};

use crate::define::Namespace;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut math = Namespace::library(registry, "stdlib.math");
    register_integers(&mut math)?;
    register_rounding(&mut math)?;
    register_floats(&mut math)
}

fn register_integers(math: &mut Namespace<'_>) -> Result<(), RegistryError> {
    math.function("add", ["a", "b"], "The sum of two integers; an overflow is an error.")
        .example("add(2, 3)", "5")
        .define(add)?;
    math.function("subtract", ["a", "b"], "The first integer less the second; an overflow is an error.")
        .example("subtract(2, 3)", "-1")
        .define(subtract)?;
    math.function("multiply", ["a", "b"], "The product of two integers; an overflow is an error.")
        .example("multiply(4, 5)", "20")
        .define(multiply)?;
    math.function(
        "divide",
        ["a", "b"],
        "The first integer divided by the second, rounded toward zero; division by zero is an error.",
    )
    .example("divide(-10, 3)", "-3")
    .define(divide)?;
    math.function(
        "modulo",
        ["a", "b"],
        "The remainder of dividing the first integer by the second, with the sign of the first; division by zero is \
         an error.",
    )
    .example("modulo(-7, 3)", "-1")
    .define(modulo)?;
    math.function("max", ["a", "b"], "The larger of two integers.")
        .example("max(2, 3)", "3")
        .define(i64::max)?;
    math.function("min", ["a", "b"], "The smaller of two integers.")
        .example("min(2, 3)", "2")
        .define(i64::min)?;
    math.function("abs", ["value"], "An integer without its sign; an overflow is an error.")
        .example("abs(-5)", "5")
        .define(abs)?;
    math.function("negate", ["value"], "An integer with the other sign; an overflow is an error.")
        .example("negate(5)", "-5")
        .define(negate)?;
    math.function(
        "clamp",
        ["value", "low", "high"],
        "An integer, or the nearest end of a range that it is outside of; a range whose ends are the wrong way round \
         is an error.",
    )
    .example("clamp(120, 0, 100)", "100")
    .define(|value: i64, low: i64, high: i64| clamp(value, low, high, "stdlib.clamp"))
}

fn register_rounding(math: &mut Namespace<'_>) -> Result<(), RegistryError> {
    math.function(
        "round",
        ["value"],
        "The integer nearest to a float, halves rounded up; one past 64 bits is an error.",
    )
    .example("round(-2.5)", "-2")
    .define(|value: f64| whole(nearest(value), "stdlib.round"))?;
    math.function("floor", ["value"], "The largest integer not above a float; one past 64 bits is an error.")
        .example("floor(-2.1)", "-3")
        .define(|value: f64| whole(value.floor(), "stdlib.floor"))?;
    math.function(
        "ceiling",
        ["value"],
        "The smallest integer not below a float; one past 64 bits is an error.",
    )
    .example("ceiling(2.1)", "3")
    .define(|value: f64| whole(value.ceil(), "stdlib.ceiling"))?;
    math.function(
        "round-to",
        ["value", "digits"],
        "A float rounded to a number of digits after the point, as it is written: halves are rounded up. Fewer than no \
         digits are none.",
    )
    .example("round-to(1.005, 2)", "1.01")
    .define(round_to)
}

fn register_floats(math: &mut Namespace<'_>) -> Result<(), RegistryError> {
    math.function("sqrt", ["value"], "The square root of a float; that of a negative one is an error.")
        .example("sqrt(2.25)", "1.5")
        .define(sqrt)?;
    math.function(
        "power",
        ["base", "exponent"],
        "A float raised to the power of another; a result that is not a finite number is an error.",
    )
    .example("power(2.0, 10.0)", "1024.0")
    .define(f64::powf)?;
    math.function("abs-float", ["value"], "A float without its sign.")
        .example("abs-float(-2.5)", "2.5")
        .define(f64::abs)?;
    math.function("max-float", ["a", "b"], "The larger of two floats.")
        .example("max-float(1.5, 2.5)", "2.5")
        .define(f64::max)?;
    math.function("min-float", ["a", "b"], "The smaller of two floats.")
        .example("min-float(1.5, 2.5)", "1.5")
        .define(f64::min)?;
    math.function(
        "clamp-float",
        ["value", "low", "high"],
        "A float, or the nearest end of a range that it is outside of; a range whose ends are the wrong way round is \
         an error.",
    )
    .example("clamp-float(1.2, 0.0, 1.0)", "1.0")
    .define(|value: f64, low: f64, high: f64| clamp(value, low, high, "stdlib.clamp-float"))
}

pub(crate) fn overflow(function: &str) -> ModuleError {
    ModuleError::new(format!("Integer overflow in {function}"))
}

fn division_by_zero(function: &str) -> ModuleError {
    ModuleError::new(format!("Division by zero in {function}"))
}

fn add(a: i64, b: i64) -> Result<i64, ModuleError> {
    a.checked_add(b).ok_or_else(|| overflow("stdlib.add"))
}

fn subtract(a: i64, b: i64) -> Result<i64, ModuleError> {
    a.checked_sub(b).ok_or_else(|| overflow("stdlib.subtract"))
}

fn multiply(a: i64, b: i64) -> Result<i64, ModuleError> {
    a.checked_mul(b).ok_or_else(|| overflow("stdlib.multiply"))
}

fn divide(a: i64, b: i64) -> Result<i64, ModuleError> {
    if b == 0 {
        return Err(division_by_zero("stdlib.divide"));
    }
    a.checked_div(b).ok_or_else(|| overflow("stdlib.divide"))
}

fn modulo(a: i64, b: i64) -> Result<i64, ModuleError> {
    if b == 0 {
        return Err(division_by_zero("stdlib.modulo"));
    }
    // The remainder of i64::MIN and -1 is 0; only the quotient overflows.
    Ok(a.wrapping_rem(b))
}

fn abs(value: i64) -> Result<i64, ModuleError> {
    value.checked_abs().ok_or_else(|| overflow("stdlib.abs"))
}

fn negate(value: i64) -> Result<i64, ModuleError> {
    value.checked_neg().ok_or_else(|| overflow("stdlib.negate"))
}

fn clamp<N: PartialOrd + std::fmt::Display>(
    value: N,
    low: N,
    high: N,
    function: &str,
) -> Result<N, ModuleError> {
    if low > high {
        let message = format!("{function}: the low end {low} of the range is above the high end {high}");
        return Err(ModuleError::new(message));
    }
    Ok(if value < low {
        low
    } else if value > high {
        high
    } else {
        value
    })
}

fn nearest(value: f64) -> f64 {
    // Not the floor of `value + 0.5`: that sum is rounded, and 0.49999999999999994 would give 1.
    let floor = value.floor();
    if value - floor >= 0.5 { floor + 1.0 } else { floor }
}

/// The integer of a float, toward zero. `function` is the name in the error when there is none.
pub(crate) fn whole(value: f64, function: &str) -> Result<i64, ModuleError> {
    // 2^63 itself is a float and does not fit; -2^63 does.
    let bound = 9_223_372_036_854_775_808.0;
    if (-bound..bound).contains(&value) {
        #[expect(clippy::cast_possible_truncation, reason = "it is in range, and its fraction is to go")]
        return Ok(value as i64);
    }
    Err(overflow(function))
}

/// Rounds the shortest text that reads back as the float: what a program shows of it is what is rounded, although
/// the float that is written 1.005 is a little less.
fn round_to(value: f64, digits: i64) -> f64 {
    let text = value.abs().to_string();
    let Some((whole, fraction)) = text.split_once('.') else { return value };
    let digits = usize::try_from(digits.max(0)).unwrap_or(usize::MAX);
    if fraction.len() <= digits {
        return value;
    }
    let (kept, cut) = fraction.split_at(digits);
    let is_up = if value < 0.0 { is_above_half(cut) } else { cut.as_bytes()[0] >= b'5' };
    let scaled: u128 = format!("{whole}{kept}").parse().expect("a float with a fraction has few digits");
    let rounded: f64 = format!("{}e-{digits}", scaled + u128::from(is_up))
        .parse()
        .expect("digits and an exponent are a float");
    rounded.copysign(value)
}

/// Whether digits after a point are more than a half.
fn is_above_half(digits: &str) -> bool {
    digits.as_bytes()[0] > b'5' || (digits.starts_with('5') && digits[1..].contains(|digit| digit != '0'))
}

fn sqrt(value: f64) -> Result<f64, ModuleError> {
    if value < 0.0 {
        return Err(ModuleError::new(format!("Square root of the negative number {value} in stdlib.sqrt")));
    }
    Ok(value.sqrt())
}
