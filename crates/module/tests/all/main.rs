//! Modules as their users write, register and call them.

mod builder;
mod conversion;
mod derive;
mod named;
mod registry;
mod unions;

/// The messages that a mistake in a type or a function gives at compile time.
#[test]
fn mistakes_are_told_at_compile_time() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
