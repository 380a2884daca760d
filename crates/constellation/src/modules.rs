//! The modules that pipelines can call.

use constellation_module::ModuleRegistry;

/// The standard library, with the demonstration modules where they are asked for.
pub(crate) fn registry(has_demo_modules: bool) -> ModuleRegistry {
    let mut registry = constellation_stdlib::registry();
    if has_demo_modules {
        constellation_demo::register(&mut registry).expect("the standard library has none of their names");
    }
    registry
}
