//! `stdlib.list`: functions of lists. The reference implementation has them for integers only; here all but the sum
//! take elements of any type.

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};
use constellation_types::Value;

use crate::bounds::check_list;
use crate::define::{Any, Namespace, Seq};
use crate::math::overflow;
use crate::string::count;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut list = Namespace::library(registry, "stdlib.list");
    list.define("list-length", ["list"], "How many elements a list has.", |list: Seq<Any>| {
        count(list.0.len())
    })?;
    list.define(
        "list-first",
        ["list"],
        "The first element; an empty list is an error.",
        |list: Seq<Any>| element(list.0.first(), "stdlib.list-first"),
    )?;
    list.define("list-last", ["list"], "The last element; an empty list is an error.", |list: Seq<Any>| {
        element(list.0.last(), "stdlib.list-last")
    })?;
    list.define("list-is-empty", ["list"], "Whether a list has no elements.", |list: Seq<Any>| {
        list.0.is_empty()
    })?;
    list.define(
        "list-sum",
        ["list"],
        "The sum of integers, 0 of none; an overflow is an error.",
        |list: Seq<i64>| sum(list.iter(), "stdlib.list-sum"),
    )?;
    list.define("list-concat", ["a", "b"], "The elements of one list, then those of another.", concat)?;
    list.define(
        "list-contains",
        ["list", "value"],
        "Whether a value is among the elements of a list.",
        |list: Seq<Any>, value: Any| list.0.contains(&value.0),
    )?;
    list.define(
        "list-reverse",
        ["list"],
        "The elements of a list from the last to the first.",
        |list: Seq<Any>| list.iter().rev().collect::<Seq<Any>>(),
    )
}

fn element(element: Option<&Value>, function: &str) -> Result<Any, ModuleError> {
    element.cloned().map(Any).ok_or_else(|| ModuleError::new(format!("{function}: list is empty")))
}

/// The sum of integers. Only the sum itself must fit, not those on the way to it.
pub(crate) fn sum(items: impl Iterator<Item = i64>, function: &str) -> Result<i64, ModuleError> {
    // A list in memory has fewer than 2^60 elements, so 128 bits hold the sum of any.
    let sum: i128 = items.map(i128::from).sum();
    i64::try_from(sum).map_err(|_| overflow(function))
}

fn concat(a: Seq<Any>, b: Seq<Any>) -> Result<Seq<Any>, ModuleError> {
    if b.0.is_empty() {
        return Ok(a);
    }
    if a.0.is_empty() {
        return Ok(b);
    }
    check_list(a.0.len().checked_add(b.0.len()), "stdlib.list-concat")?;
    Ok(a.iter().chain(b.iter()).collect())
}
