//! `stdlib.collection`: functions that take lambdas. The reference implementation has the first four, of integers only;
//! here all take elements of any type.
//!
//! The lambda is called for one element after another, in the order of the list. One that waits, for a module that it
//! calls, does not hold up those behind it: up to 16 elements are in flight at the same time. `all`, `any` and `find`,
//! which end at the first element that decides, and `reduce` wait for each answer before the next call.
//!
//! When the lambda fails, the call fails with the failure for the first such element; what is in flight is dropped, and
//! the lambda is not called again.

mod folds;
mod walk;

use std::sync::Arc;

use constellation_module::{ModuleRegistry, Outcome, RegistryError};
use constellation_types::{Type, Value};

use crate::define::{Namespace, wrong_arguments};
use folds::{All, Any, Count, Filter, Find, FlatMap, GroupBy, Map, SortBy};
use walk::{Fold, reduce, walk};

pub(crate) fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    let mut collection = Collection(Namespace::library(registry, "stdlib.collection"));
    let predicate = || ("predicate", Type::Boolean);
    collection.each(
        "filter",
        "The elements for which a condition holds, in order.",
        ("filter([5, -3, 8], (x) => x > 0)", "[5,8]"),
        predicate(),
        Type::seq(element()),
        Filter::new,
    )?;
    collection.each(
        "map",
        "What a function makes of each element, in order.",
        ("map([5, -3, 8], (x) => x * 2)", "[10,-6,16]"),
        ("transform", other()),
        Type::seq(other()),
        Map::new,
    )?;
    collection.each(
        "all",
        "Whether a condition holds for every element; true of none. Ends at the first for which it does not.",
        ("all([5, -3, 8], (x) => x > 0)", "false"),
        predicate(),
        Type::Boolean,
        |_| All,
    )?;
    collection.each(
        "any",
        "Whether a condition holds for some element; false of none. Ends at the first for which it does.",
        ("any([5, -3, 8], (x) => x > 0)", "true"),
        predicate(),
        Type::Boolean,
        |_| Any,
    )?;
    collection.each(
        "find",
        "The first element for which a condition holds, or none. Ends there.",
        ("find([5, -3, 8], (x) => x > 5)", "8"),
        predicate(),
        Type::optional(element()),
        |_| Find,
    )?;
    collection.each(
        "count-where",
        "For how many elements a condition holds.",
        ("count-where([5, -3, 8], (x) => x > 0)", "2"),
        predicate(),
        Type::Int,
        |_| Count::default(),
    )?;
    collection.each(
        "flat-map",
        "The elements of the lists that a function makes of each element, in order.",
        (r#"flat-map(["a b", "c"], (text) => split(text, " "))"#, r#"["a","b","c"]"#),
        ("transform", Type::seq(other())),
        Type::seq(other()),
        |_| FlatMap::default(),
    )?;
    collection.each(
        "sort-by",
        "The elements in ascending order of a key; those of equal keys stay in their order. Keys are all integers, all \
         floats or all texts; texts are ordered by Unicode scalar values.",
        (r#"sort-by(["ccc", "a", "bb"], (text) => string-length(text))"#, r#"["a","bb","ccc"]"#),
        ("key", Type::union([Type::Int, Type::Float, Type::String])),
        Type::seq(element()),
        SortBy::new,
    )?;
    collection.each(
        "group-by",
        "The elements by a key, in order; the keys are in the order of their first elements.",
        (
            r#"group-by(["ada", "bob", "al"], (name) => substring(name, 0, 1))"#,
            r#"{"a":["ada","al"],"b":["bob"]}"#,
        ),
        ("key", Type::String),
        Type::map(Type::String, Type::seq(element())),
        |_| GroupBy::default(),
    )?;
    let accumulated = || Type::variable("A");
    collection.0.define_higher_order(
        "reduce",
        [
            ("items", Type::seq(element())),
            ("initial", accumulated()),
            ("combine", Type::function([accumulated(), element()], accumulated())),
        ],
        accumulated(),
        "What a function makes of an initial value and the first element, of that and the second element, and so on; \
         the initial value of none.",
        ("reduce([1, 2, 3], 10, (sum, x) => sum + x)", "16"),
        |arguments, functions| match (arguments, functions) {
            ([Value::List(items), initial], [combine]) => {
                reduce(combine.clone(), Arc::clone(items), initial.clone(), "stdlib.reduce")
            }
            _ => refused(),
        },
    )
}

struct Collection<'r>(Namespace<'r>);

impl Collection<'_> {
    /// Defines a function that calls its lambda once for each of `items`, unless it ends early.
    fn each<F: Fold>(
        &mut self,
        name: &str,
        description: &str,
        example: (&str, &str),
        (parameter, answer): (&'static str, Type),
        result: Type,
        fold: impl Fn(&Arc<[Value]>) -> F + Send + Sync + 'static,
    ) -> Result<(), RegistryError> {
        let module: Arc<str> = format!("stdlib.{name}").into();
        let parameters = [("items", Type::seq(element())), (parameter, Type::function([element()], answer))];
        self.0.define_higher_order(
            name,
            parameters,
            result,
            description,
            example,
            move |arguments, functions| match (arguments, functions) {
                ([Value::List(items)], [function]) => {
                    walk(function.clone(), Arc::clone(items), fold(items), Arc::clone(&module))
                }
                _ => refused(),
            },
        )
    }
}

/// The type of an element.
fn element() -> Type {
    Type::variable("T")
}

/// The type of what a function makes of an element.
fn other() -> Type {
    Type::variable("U")
}

fn refused() -> Outcome {
    Outcome::Ready(Err(wrong_arguments()))
}
