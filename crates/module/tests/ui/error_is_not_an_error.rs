//! The error of a module's `Result` is an error type or a text.

use constellation_module::ModuleBuilder;

struct OutOfStock;

fn main() {
    let _ = ModuleBuilder::new("Reserve").function(|(): ()| Err::<i64, _>(OutOfStock));
}
