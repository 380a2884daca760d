//! There is one name for each argument, and each argument is of a type that the language has.

use std::collections::HashSet;

use constellation_module::ModuleBuilder;

fn add(a: i64, b: i64) -> i64 {
    a + b
}

fn main() {
    let _ = ModuleBuilder::new("Add").parameters(["a"]).function(add);
    let _ = ModuleBuilder::new("Count").parameters(["set"]).function(|set: HashSet<String>| set.len());
}
