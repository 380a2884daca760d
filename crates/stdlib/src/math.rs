//! `stdlib.math`: integers, rounding, and functions of floats.
//!
//! The operators `+ - * /` and the comparisons work on floats already, so there are no functions for them.

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};

use crate::define::Namespace;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut math = Namespace::library(registry, "stdlib.math");
    math.define("add", ["a", "b"], "The sum of two integers; an overflow is an error.", add)?;
    math.define(
        "subtract",
        ["a", "b"],
        "The first integer less the second; an overflow is an error.",
        subtract,
    )?;
    math.define("multiply", ["a", "b"], "The product of two integers; an overflow is an error.", multiply)?;
    math.define(
        "divide",
        ["a", "b"],
        "The first integer divided by the second, rounded toward zero; division by zero is an error.",
        divide,
    )?;
    math.define("max", ["a", "b"], "The larger of two integers.", i64::max)?;
    math.define("min", ["a", "b"], "The smaller of two integers.", i64::min)?;
    math.define("abs", ["value"], "An integer without its sign; an overflow is an error.", abs)?;
    math.define(
        "modulo",
        ["a", "b"],
        "The remainder of dividing the first integer by the second, with the sign of the first; division by zero is \
         an error.",
        modulo,
    )?;
    math.define("round", ["value"], "The integer nearest to a float; halves are rounded up.", round)?;
    math.define("negate", ["value"], "An integer with the other sign; an overflow is an error.", negate)?;

    // Not in the reference implementation.
    math.define("floor", ["value"], "The largest integer not above a float.", |value: f64| {
        whole(value.floor())
    })?;
    math.define("ceiling", ["value"], "The smallest integer not below a float.", |value: f64| {
        whole(value.ceil())
    })?;
    math.define("sqrt", ["value"], "The square root of a float; that of a negative one is an error.", sqrt)?;
    math.define("power", ["base", "exponent"], "A float raised to the power of another.", f64::powf)?;
    math.define("abs-float", ["value"], "A float without its sign.", f64::abs)?;
    math.define("max-float", ["a", "b"], "The larger of two floats.", f64::max)?;
    math.define("min-float", ["a", "b"], "The smaller of two floats.", f64::min)
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

fn round(value: f64) -> i64 {
    // Not the floor of `value + 0.5`: that sum is rounded, and 0.49999999999999994 would give 1.
    let floor = value.floor();
    whole(if value - floor >= 0.5 { floor + 1.0 } else { floor })
}

/// The integer of a float: toward zero, the nearest of the two ends when it is out of range, 0 for NaN.
#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as the language does")]
pub(crate) fn whole(value: f64) -> i64 {
    value as i64
}

fn sqrt(value: f64) -> Result<f64, ModuleError> {
    if value < 0.0 {
        return Err(ModuleError::new(format!("Square root of the negative number {value} in stdlib.sqrt")));
    }
    Ok(value.sqrt())
}
