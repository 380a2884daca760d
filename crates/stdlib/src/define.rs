//! How the functions of the library are defined: a plain Rust function with the names of its parameters.
//!
//! Arguments are read from the values themselves, without serde between: these functions run inline, at the rate of
//! operators.

use std::marker::PhantomData;
use std::sync::Arc;

use constellation_module::{Module, ModuleBuilder, ModuleError, ModuleRegistry, RegistryError};
use constellation_types::{Type, Value};

/// Where a group of functions is registered.
pub(crate) struct Namespace<'r> {
    registry: &'r mut ModuleRegistry,
    namespace: Option<&'static str>,
}

impl<'r> Namespace<'r> {
    /// Functions of the library: imported from `namespace`, with `stdlib.` before the name as module name.
    pub(crate) fn library(registry: &'r mut ModuleRegistry, namespace: &'static str) -> Self {
        Self { registry, namespace: Some(namespace) }
    }

    /// Functions without a namespace, whose module has their name.
    pub(crate) fn global(registry: &'r mut ModuleRegistry) -> Self {
        Self { registry, namespace: None }
    }

    /// Defines a pure function whose result is named `out`.
    pub(crate) fn define<const N: usize, A>(
        &mut self,
        name: &str,
        parameters: [&'static str; N],
        description: &str,
        function: impl Function<N, A>,
    ) -> Result<(), RegistryError> {
        self.define_with_result(name, parameters, "out", description, function)
    }

    /// Defines a pure function whose result has another name.
    pub(crate) fn define_with_result<const N: usize, A>(
        &mut self,
        name: &str,
        parameters: [&'static str; N],
        result: &'static str,
        description: &str,
        function: impl Function<N, A>,
    ) -> Result<(), RegistryError> {
        let builder = self.builder(name, description).pure();
        self.registry.register(module(builder, parameters, result, function))
    }

    /// Defines a function that does something besides answering.
    pub(crate) fn define_effect<const N: usize, A>(
        &mut self,
        name: &str,
        parameters: [&'static str; N],
        description: &str,
        function: impl Function<N, A>,
    ) -> Result<(), RegistryError> {
        let builder = self.builder(name, description);
        self.registry.register(module(builder, parameters, "out", function))
    }

    fn builder(&self, name: &str, description: &str) -> ModuleBuilder {
        let builder = match self.namespace {
            Some(namespace) => {
                ModuleBuilder::new(&format!("stdlib.{name}")).namespace(namespace).tag("stdlib")
            }
            None => ModuleBuilder::new(name),
        };
        builder.version(1, 0).description(description)
    }
}

fn module<const N: usize, A, F: Function<N, A>>(
    builder: ModuleBuilder,
    parameters: [&'static str; N],
    result: &'static str,
    function: F,
) -> impl Module + use<N, A, F> {
    let types = F::parameter_types();
    builder.values(parameters.into_iter().zip(types), [(result, F::result_type())], move |arguments| {
        let arguments: &[Value; N] = arguments.try_into().map_err(|_| wrong_arguments())?;
        function.call(arguments)
    })
}

/// Whoever calls a module has checked its arguments; this is what a caller hears who has not.
fn wrong_arguments() -> ModuleError {
    ModuleError::new("called with arguments that are not those of the signature")
}

/// A Rust function of `N` parameters.
pub(crate) trait Function<const N: usize, A>: Send + Sync + 'static {
    fn parameter_types() -> [Type; N];
    fn result_type() -> Type;
    fn call(&self, arguments: &[Value; N]) -> Result<Value, ModuleError>;
}

macro_rules! functions {
    ($($count:literal: $($parameter:ident)+;)+) => {
        $(
            impl<F, $($parameter,)+ R> Function<$count, fn($($parameter),+) -> R> for F
            where
                F: Fn($($parameter),+) -> R + Send + Sync + 'static,
                $($parameter: Argument,)+
                R: Answer,
            {
                fn parameter_types() -> [Type; $count] {
                    [$($parameter::ty()),+]
                }

                fn result_type() -> Type {
                    R::ty()
                }

                #[expect(non_snake_case, reason = "the arguments are bound to the names of their types")]
                fn call(&self, arguments: &[Value; $count]) -> Result<Value, ModuleError> {
                    let [$($parameter),+] = arguments;
                    self($($parameter::read($parameter).ok_or_else(wrong_arguments)?),+).answer()
                }
            }
        )+
    };
}

functions! {
    1: P1;
    2: P1 P2;
    3: P1 P2 P3;
}

/// What a function takes.
pub(crate) trait Argument: Sized {
    fn ty() -> Type;

    /// None when the value is not of the type.
    fn read(value: &Value) -> Option<Self>;
}

/// What a function gives.
pub(crate) trait Answer {
    fn ty() -> Type;
    fn answer(self) -> Result<Value, ModuleError>;
}

/// A type that is both, and can be the element of a list.
pub(crate) trait Data: Argument {
    /// Whether the value is of the type; then [`Argument::read`] reads it.
    fn fits(value: &Value) -> bool;
    fn into_value(self) -> Value;
}

impl<T: Data> Answer for T {
    fn ty() -> Type {
        <T as Argument>::ty()
    }

    fn answer(self) -> Result<Value, ModuleError> {
        Ok(self.into_value())
    }
}

impl<T: Answer> Answer for Result<T, ModuleError> {
    fn ty() -> Type {
        T::ty()
    }

    fn answer(self) -> Result<Value, ModuleError> {
        self?.answer()
    }
}

impl<T: Answer> Answer for Option<T> {
    fn ty() -> Type {
        Type::optional(T::ty())
    }

    fn answer(self) -> Result<Value, ModuleError> {
        Ok(match self {
            Some(inner) => Value::some(inner.answer()?),
            None => Value::none(),
        })
    }
}

impl Answer for String {
    fn ty() -> Type {
        Type::String
    }

    fn answer(self) -> Result<Value, ModuleError> {
        Ok(Value::string(self))
    }
}

/// A float is finite in the language, so that any other is an error of the function that makes it.
impl Answer for f64 {
    fn ty() -> Type {
        Type::Float
    }

    fn answer(self) -> Result<Value, ModuleError> {
        if self.is_finite() {
            Ok(Value::Float(self))
        } else {
            Err(ModuleError::new(format!("the result is not a finite number but {self}")))
        }
    }
}

impl Argument for i64 {
    fn ty() -> Type {
        Type::Int
    }

    fn read(value: &Value) -> Option<Self> {
        if let Value::Int(int) = value { Some(*int) } else { None }
    }
}

impl Data for i64 {
    fn fits(value: &Value) -> bool {
        matches!(value, Value::Int(_))
    }

    fn into_value(self) -> Value {
        Value::Int(self)
    }
}

impl Argument for bool {
    fn ty() -> Type {
        Type::Boolean
    }

    fn read(value: &Value) -> Option<Self> {
        if let Value::Boolean(boolean) = value { Some(*boolean) } else { None }
    }
}

impl Data for bool {
    fn fits(value: &Value) -> bool {
        matches!(value, Value::Boolean(_))
    }

    fn into_value(self) -> Value {
        Value::Boolean(self)
    }
}

impl Argument for Arc<str> {
    fn ty() -> Type {
        Type::String
    }

    fn read(value: &Value) -> Option<Self> {
        if let Value::String(text) = value { Some(Arc::clone(text)) } else { None }
    }
}

impl Data for Arc<str> {
    fn fits(value: &Value) -> bool {
        matches!(value, Value::String(_))
    }

    fn into_value(self) -> Value {
        Value::String(self)
    }
}

impl Argument for f64 {
    fn ty() -> Type {
        Type::Float
    }

    fn read(value: &Value) -> Option<Self> {
        if let Value::Float(float) = value { Some(*float) } else { None }
    }
}

/// A value of any type: the `T` of a generic signature.
pub(crate) struct Any(pub(crate) Value);

impl Argument for Any {
    fn ty() -> Type {
        Type::variable("T")
    }

    fn read(value: &Value) -> Option<Self> {
        Some(Self(value.clone()))
    }
}

impl Data for Any {
    fn fits(_value: &Value) -> bool {
        true
    }

    fn into_value(self) -> Value {
        self.0
    }
}

/// A `List` of `T`.
pub(crate) struct List<T>(pub(crate) Arc<[Value]>, PhantomData<fn() -> T>);

/// A `Seq` of `T`, so that lists are accepted too.
pub(crate) struct Seq<T>(pub(crate) Arc<[Value]>, PhantomData<fn() -> T>);

macro_rules! sequences {
    ($($sequence:ident),+) => {
        $(
            impl<T: Data> $sequence<T> {
                fn of(values: Arc<[Value]>) -> Self {
                    Self(values, PhantomData)
                }

                pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = T> {
                    self.0.iter().map(|item| T::read(item).expect("the elements were checked when it was made"))
                }
            }

            impl<T: Data> FromIterator<T> for $sequence<T> {
                fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
                    Self::of(items.into_iter().map(T::into_value).collect())
                }
            }

            impl<T: Data> Argument for $sequence<T> {
                fn ty() -> Type {
                    Type::$sequence(Arc::new(T::ty()))
                }

                fn read(value: &Value) -> Option<Self> {
                    match value {
                        Value::List(items) if items.iter().all(T::fits) => Some(Self::of(Arc::clone(items))),
                        _ => None,
                    }
                }
            }

            impl<T: Data> Answer for $sequence<T> {
                fn ty() -> Type {
                    <Self as Argument>::ty()
                }

                fn answer(self) -> Result<Value, ModuleError> {
                    Ok(Value::List(self.0))
                }
            }
        )+
    };
}

sequences!(List, Seq);
