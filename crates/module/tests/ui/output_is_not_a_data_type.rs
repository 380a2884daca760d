//! A struct without the derive is not an output.

use constellation_module::ModuleBuilder;

#[derive(serde::Serialize)]
struct Report;

fn main() {
    let _ = ModuleBuilder::new("Report").function(|(): ()| Report);
}
