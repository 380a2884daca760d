//! A number is not a struct of parameters.

use constellation_module::ModuleBuilder;

fn main() {
    let _ = ModuleBuilder::new("Double").function(|number: i64| number * 2);
}
