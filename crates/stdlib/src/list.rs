//! `stdlib.list`: functions of lists. The reference implementation has them for integers only; here they take
//! elements of any type, but for sums and means.
//!
//! Those of the reference implementation give a `Seq`, as they do there. The others give a `List`, which may stand
//! where a `Seq` is expected.

#![expect(clippy::needless_pass_by_value, reason = "arguments are read as shared lists")]

use std::collections::BTreeSet;

use constellation_module::{ModuleError, ModuleRegistry, RegistryError};
use constellation_types::Value;

use crate::bounds::check_list;
use crate::define::{Any, List, Namespace, Pair, Seq};
use crate::math::overflow;
use crate::order::Key;
use crate::string::count;

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut list = Namespace::library(registry, "stdlib.list");
    register_elements(&mut list)?;
    register_parts(&mut list)?;
    register_combinations(&mut list)?;
    register_numbers(&mut list)
}

fn register_elements(list: &mut Namespace<'_>) -> Result<(), RegistryError> {
    list.function("list-length", ["list"], "How many elements a list has.")
        .example("list-length([5, 7])", "2")
        .define(|list: Seq<Any>| count(list.0.len()))?;
    list.function("list-is-empty", ["list"], "Whether a list has no elements.")
        .example("list-is-empty([])", "true")
        .define(|list: Seq<Any>| list.0.is_empty())?;
    list.function("list-first", ["list"], "The first element; an empty list is an error.")
        .example("list-first([5, 7])", "5")
        .define(|list: Seq<Any>| element(list.0.first(), "stdlib.list-first"))?;
    list.function("list-last", ["list"], "The last element; an empty list is an error.")
        .example("list-last([5, 7])", "7")
        .define(|list: Seq<Any>| element(list.0.last(), "stdlib.list-last"))?;
    list.function(
        "list-get",
        ["list", "index"],
        "The element at an index, counted from 0; none when there is no such element.",
    )
    .example("list-get([5, 7], 1)", "7")
    .example("list-get([5, 7], 2)", "null")
    .define(|list: Seq<Any>, index: i64| {
        usize::try_from(index).ok().and_then(|index| list.0.get(index)).cloned().map(Any::<'T'>)
    })?;
    list.function("list-contains", ["list", "value"], "Whether a value is among the elements of a list.")
        .example(r#"list-contains(["a", "b"], "b")"#, "true")
        .define(|list: Seq<Any>, value: Any| list.0.contains(&value.0))?;
    list.function(
        "list-min",
        ["list"],
        "The smallest element in the order of `list-sort`; none of an empty list.",
    )
    .example("list-min([2.5, 1.5])", "1.5")
    .define(|list: Seq<Any>| list.0.iter().min_by_key(|item| Key(item)).cloned().map(Any::<'T'>))?;
    list.function(
        "list-max",
        ["list"],
        "The largest element in the order of `list-sort`; none of an empty list.",
    )
    .example("list-max([2.5, 1.5])", "2.5")
    .define(|list: Seq<Any>| list.0.iter().max_by_key(|item| Key(item)).cloned().map(Any::<'T'>))
}

fn register_parts(list: &mut Namespace<'_>) -> Result<(), RegistryError> {
    list.function(
        "list-take",
        ["list", "count"],
        "The first elements, as many as there are up to a count; none for a count below zero.",
    )
    .example("list-take([5, 7, 9], 2)", "[5,7]")
    .define(|list: Seq<Any>, count: i64| {
        let count = clamp_count(count, list.0.len());
        list.iter().take(count).collect::<List<Any>>()
    })?;
    list.function(
        "list-drop",
        ["list", "count"],
        "The elements after the first ones; all of them for a count below zero.",
    )
    .example("list-drop([5, 7, 9], 2)", "[9]")
    .define(|list: Seq<Any>, count: i64| {
        let count = clamp_count(count, list.0.len());
        list.iter().skip(count).collect::<List<Any>>()
    })?;
    list.function("list-distinct", ["list"], "The elements without those that are equal to an earlier one.")
        .example("list-distinct([5, 7, 5])", "[5,7]")
        .define(|list: Seq<Any>| {
            let mut seen = BTreeSet::new();
            let distinct = list.0.iter().filter(|item| seen.insert(Key(item)));
            distinct.cloned().map(Any).collect::<List<Any>>()
        })?;
    list.function("list-reverse", ["list"], "The elements of a list from the last to the first.")
        .example("list-reverse([5, 7])", "[7,5]")
        .define(|list: Seq<Any>| list.iter().rev().collect::<Seq<Any>>())?;
    list.function(
        "list-sort",
        ["list"],
        "The elements from the smallest to the largest: strings by their characters, false before true, none before \
         some, lists and records by their parts from the first to the last, values of a union by their tags first.",
    )
    .example("list-sort([7, 5, 9])", "[5,7,9]")
    .example(r#"list-sort(["b", "B", "a"])"#, r#"["B","a","b"]"#)
    .define(|list: Seq<Any>| {
        let mut items = list.0.to_vec();
        items.sort_by(|left, right| Key(left).cmp(&Key(right)));
        items.into_iter().map(Any).collect::<List<Any>>()
    })
}

fn register_combinations(list: &mut Namespace<'_>) -> Result<(), RegistryError> {
    list.function("list-concat", ["a", "b"], "The elements of one list, then those of another.")
        .example("list-concat([5], [7, 9])", "[5,7,9]")
        .define(concat)?;
    list.function(
        "list-flatten",
        ["lists"],
        "The elements of each list of a list, one list after the other.",
    )
    .example("list-flatten([[5], [], [7, 9]])", "[5,7,9]")
    .define(flatten)?;
    list.function(
        "list-zip",
        ["a", "b"],
        "The elements of two lists side by side, as many as the shorter list has.",
    )
    .example(r#"list-zip(["a", "b"], [1, 2, 3])"#, r#"[{"first":"a","second":1},{"first":"b","second":2}]"#)
    .define(|a: Seq<Any<'A'>>, b: Seq<Any<'B'>>| {
        a.iter().zip(b.iter()).map(|(first, second)| Pair { first, second }).collect::<List<Pair<_, _>>>()
    })
}

fn register_numbers(list: &mut Namespace<'_>) -> Result<(), RegistryError> {
    list.function(
        "list-range",
        ["start", "end"],
        "The integers from the first to the last, both included; none when the last is before the first.",
    )
    .example("list-range(3, 5)", "[3,4,5]")
    .define(|start: i64, end: i64| range(start, end, "stdlib.list-range"))?;
    list.function("list-sum", ["list"], "The sum of integers, 0 of none; an overflow is an error.")
        .example("list-sum([5, 7])", "12")
        .define(|list: Seq<i64>| sum(list.iter(), "stdlib.list-sum"))?;
    list.function(
        "list-sum-float",
        ["list"],
        "The sum of floats, 0 of none; one that is not a finite number is an error.",
    )
    .example("list-sum-float([0.5, 0.25])", "0.75")
    .define(|list: Seq<f64>| list.iter().fold(0.0, |sum, item| sum + item))?;
    list.function("list-average", ["list"], "The mean of floats; none of an empty list.")
        .example("list-average([0.5, 0.25])", "0.375")
        .define(|list: Seq<f64>| average(&list))
}

fn element(element: Option<&Value>, function: &str) -> Result<Any, ModuleError> {
    element.cloned().map(Any).ok_or_else(|| ModuleError::new(format!("{function}: list is empty")))
}

/// A count of the language as one of at most `length`; below zero there is nothing to count.
pub(crate) fn clamp_count(count: i64, length: usize) -> usize {
    usize::try_from(count.max(0)).map_or(length, |count| count.min(length))
}

/// The sum of integers. Only the sum itself must fit, not those on the way to it.
pub(crate) fn sum(items: impl Iterator<Item = i64>, function: &str) -> Result<i64, ModuleError> {
    // A list in memory has fewer than 2^60 elements, so 128 bits hold the sum of any.
    let sum: i128 = items.map(i128::from).sum();
    i64::try_from(sum).map_err(|_| overflow(function))
}

/// `function` is the name in the error.
pub(crate) fn range(start: i64, end: i64, function: &str) -> Result<List<i64>, ModuleError> {
    if start <= end {
        let steps = usize::try_from(end.abs_diff(start)).ok();
        check_list(steps.and_then(|steps| steps.checked_add(1)), function)?;
    }
    Ok((start..=end).collect())
}

fn average(list: &Seq<f64>) -> Option<f64> {
    if list.0.is_empty() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "the nearest float is the result")]
    let count = list.0.len() as f64;
    let sum: f64 = list.iter().sum();
    if sum.is_finite() {
        return Some(sum / count);
    }
    // The mean is within the range of the elements, whatever their sum.
    Some(list.iter().map(|item| item / count).sum())
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

fn flatten(lists: Seq<Seq<Any>>) -> Result<List<Any>, ModuleError> {
    let length = lists.iter().try_fold(0_usize, |sum, list| sum.checked_add(list.0.len()));
    let mut items = Vec::with_capacity(check_list(length, "stdlib.list-flatten")?);
    for list in lists.iter() {
        items.extend(list.iter());
    }
    Ok(items.into_iter().collect())
}
