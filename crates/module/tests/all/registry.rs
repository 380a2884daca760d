//! What can be registered, and how it is found.

use constellation_module::types::{Type, Value};
use constellation_module::{DataType, Module, ModuleBuilder, ModuleRegistry, Outcome, RegistryError};

fn one(name: &str) -> impl Module + use<> {
    ModuleBuilder::new(name).function(|(): ()| 1)
}

fn registry(names: &[&str]) -> ModuleRegistry {
    let mut registry = ModuleRegistry::new();
    for name in names {
        registry.register(one(name)).expect("the names differ");
    }
    registry
}

#[test]
fn modules_are_found_by_name_and_listed_in_order() {
    let registry = registry(&["b", "a.z", "a"]);
    assert_eq!(registry.len(), 3);
    assert_eq!(registry.get("a.z").unwrap().spec().signature.qualified_name(), "a.z");
    // Not by the name that programs call.
    assert!(registry.get("z").is_none());
    let names: Vec<&str> = registry.signatures().map(|signature| &*signature.module).collect();
    assert_eq!(names, ["a", "a.z", "b"]);
}

#[test]
fn a_name_is_taken_once() {
    let mut registry = registry(&["shop.One"]);
    let error = registry.register(one("shop.One")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "module 'shop.One' is registered already; give one of the two another name"
    );
    let same_function =
        ModuleBuilder::new("Other").namespace("shop").function_name("One").function(|(): ()| 2);
    assert_eq!(
        registry.register(same_function).unwrap_err().to_string(),
        "module 'Other' cannot be registered: the function 'shop.One' is that of module 'shop.One'"
    );
    assert_eq!(registry.len(), 1);
    assert!(registry.get("Other").is_none());
}

#[test]
fn a_clone_does_not_see_later_modules() {
    let mut registry = registry(&["a"]);
    let clone = registry.clone();
    registry.register(one("b")).unwrap();
    assert_eq!((registry.len(), clone.len()), (2, 1));
}

#[test]
fn a_signature_that_no_program_could_use_is_refused() {
    #[derive(serde::Serialize, DataType)]
    struct Empty {}

    let mut registry = ModuleRegistry::new();
    let error = registry.register(ModuleBuilder::new("no-result").function(|(): ()| Empty {})).unwrap_err();
    assert!(error.to_string().ends_with("a function has at least one result"), "{error}");
    let error = registry.register(one("not a name")).unwrap_err();
    assert!(error.to_string().contains("'not a name' is not an identifier"), "{error}");
    let generic = ModuleBuilder::new("Make").values(
        [("list", Type::list(Type::variable("A")))],
        [("out", Type::optional(Type::variable("B")))],
        |_| Ok(Value::none()),
    );
    let error = registry.register(generic).unwrap_err();
    assert!(
        matches!(&error, RegistryError::UnboundVariable { variable, .. } if &**variable == "B"),
        "{error}"
    );
    assert!(registry.is_empty());
}

#[test]
fn a_function_is_a_parameter_as_a_whole_or_nothing() {
    let module = |parameter: Type, result: Type| {
        ModuleBuilder::new("f").values_with_context([("p", parameter)], [("r", result)], |_, _| {
            Outcome::Ready(Ok(Value::Int(1)))
        })
    };
    let function = || Type::function([Type::Int], Type::Int);
    assert!(ModuleRegistry::new().register(module(function(), Type::Int)).is_ok());
    for (parameter, result, name) in [
        (Type::list(function()), Type::Int, "p"),
        (Type::function([Type::Int], function()), Type::Int, "p"),
        (function(), function(), "r"),
    ] {
        let error = ModuleRegistry::new().register(module(parameter, result)).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("module 'f' cannot be registered: '{name}' has the type ")),
            "{error}"
        );
        assert!(error.ends_with("only a parameter as a whole can be a function, of data to data"), "{error}");
    }
}

#[test]
fn what_is_published_takes_data() {
    let mut registry = ModuleRegistry::new();
    let published = |name: &str| ModuleBuilder::new(name).published();
    registry.register(published("Plain").parameters(["n"]).function(|n: i64| n)).unwrap();
    assert!(registry.get("Plain").unwrap().spec().published);
    for ty in [Type::variable("T"), Type::list(Type::variable("T")), Type::function([Type::Int], Type::Int)] {
        let text = ty.to_string();
        let values = |builder: ModuleBuilder| {
            let parameters = [("n", Type::Int), ("value", ty.clone())];
            builder.values(parameters, [("out", Type::Int)], |_: &[Value]| Ok(Value::Int(1)))
        };
        assert_eq!(
            registry.register(values(published("Odd"))).unwrap_err().to_string(),
            format!(
                "module 'Odd' cannot be registered: it is published, and its parameter 'value' has the type {text}, of \
                 which there are no values in a request; take `published` away"
            )
        );
        let mut others = ModuleRegistry::new();
        others.register(values(ModuleBuilder::new("Odd"))).unwrap();
        assert!(!others.get("Odd").unwrap().spec().published);
    }
    assert_eq!(registry.len(), 1);
}
