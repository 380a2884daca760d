//! The standard library of pipelines, as modules.
//!
//! | namespace | functions |
//! |---|---|
//! | `stdlib.math` | of integers, rounding, of floats |
//! | `stdlib.string` | of text |
//! | `stdlib.bool`, `stdlib.compare` | what the operators do, as functions |
//! | `stdlib.list`, `stdlib.map`, `stdlib.optional` | of lists, maps and optionals, over elements of any type |
//! | `stdlib.collection` | those that take lambdas, such as `filter` and `map` |
//! | `stdlib.convert`, `stdlib.json` | between types, text among them; JSON text |
//! | `stdlib`, `stdlib.debug` | `identity`; `log` |
//! | none | the modules of the reference implementation's example application, such as `SumList` and `Uppercase` |
//!
//! `docs/stdlib.md` lists them all, each with its signature and an example. It is made from what is here.
//!
//! Names, parameters and results are those of the reference implementation where it has the function. Where it wraps
//! around on overflow or stops at the largest integer, a call here fails; where it counts UTF-16 code units, Unicode
//! scalar values are counted here. No two functions share a name, so that a program without imports can call each by
//! its short one.
//!
//! Everything but `log` is pure and answers at once, if the lambdas do that it is given. Nothing here makes a text of
//! more than [`MAX_TEXT_BYTES`], or a list or map of more than [`MAX_LIST_ITEMS`], from smaller ones: such a call
//! fails.
//!
//! **Must not know:** the language, stores, HTTP, an async runtime.

mod bounds;
mod collection;
mod convert;
mod data;
mod define;
mod json;
mod list;
mod logic;
mod map;
mod math;
mod optional;
mod order;
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
    map::register(registry)?;
    optional::register(registry)?;
    json::register(registry)?;
    collection::register(registry)?;
    convert::register(registry)?;
    data::register(registry)?;
    text::register(registry)
}
