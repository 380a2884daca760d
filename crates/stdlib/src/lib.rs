//! The standard library of pipelines, as modules.
//!
//! | namespace | functions |
//! |---|---|
//! | `stdlib.math` | `add`, `subtract`, `multiply`, `divide`, `modulo`, `max`, `min`, `abs`, `negate`, `round`; of floats `floor`, `ceiling`, `sqrt`, `power`, `abs-float`, `max-float`, `min-float` |
//! | `stdlib.string` | `concat`, `string-length`, `join`, `split`, `contains`, `trim`, `replace`, `starts-with`, `ends-with`, `uppercase`, `lowercase` |
//! | `stdlib.bool` | `and`, `or`, `not` |
//! | `stdlib.compare` | `eq-int`, `eq-string`, `gt`, `gte`, `lt`, `lte` |
//! | `stdlib.list` | `list-length`, `list-first`, `list-last`, `list-is-empty`, `list-concat`, `list-contains`, `list-reverse` over elements of any type; `list-sum` of integers |
//! | `stdlib.convert` | `to-string` of any value, `to-int`, `to-float`, `parse-int`, `parse-float` |
//! | `stdlib`, `stdlib.debug` | `identity`; `log` |
//! | none | the modules of the reference implementation's example application: `SumList`, `Average`, `Max`, `Min`, `FilterGreaterThan`, `MultiplyEach`, `Range`, `FormatNumber`; `Uppercase`, `Lowercase`, `Trim`, `Replace`, `WordCount`, `TextLength`, `Contains`, `SplitLines`, `Split` |
//!
//! Names, parameters and results are those of the reference implementation where it has the function. Where it wraps
//! around on overflow, a call here fails; where it counts UTF-16 code units, Unicode scalar values are counted here.
//!
//! Everything but `log` is pure and answers at once. Nothing here makes a text of more than [`MAX_TEXT_BYTES`] or a
//! list of more than [`MAX_LIST_ITEMS`] from smaller ones: such a call fails.
//!
//! # Limitations
//!
//! Functions that take lambdas (`filter`, `map`, `all`, `any`) are not here yet.
//!
//! **Must not know:** the language, stores, HTTP, an async runtime.

mod bounds;
mod convert;
mod data;
mod define;
mod list;
mod logic;
mod math;
mod string;
mod text;

use constellation_module::{ModuleRegistry, RegistryError};

pub use bounds::{MAX_LIST_ITEMS, MAX_TEXT_BYTES};

/// A registry of the standard library alone.
pub fn registry() -> ModuleRegistry {
    let mut registry = ModuleRegistry::new();
    register(&mut registry)
        .expect("the names of the standard library are unique, and nothing else is registered");
    registry
}

/// Adds the standard library to a registry.
///
/// # Errors
///
/// [`RegistryError`] when one of its names is taken. Some of the library may have been added then.
pub fn register(registry: &mut ModuleRegistry) -> Result<(), RegistryError> {
    math::register(registry)?;
    string::register(registry)?;
    logic::register(registry)?;
    list::register(registry)?;
    convert::register(registry)?;
    data::register(registry)?;
    text::register(registry)
}
