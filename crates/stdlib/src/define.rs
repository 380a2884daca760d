//! How the functions of the library are defined: a plain Rust function with the names of its parameters.
//!
//! Arguments are read from the values themselves, without serde between: these functions run inline, at the rate of
//! operators.

use std::marker::PhantomData;
use std::sync::{Arc, LazyLock};

use constellation_module::{
    Function as Lambda, Module, ModuleBuilder, ModuleError, ModuleRegistry, Outcome, RegistryError,
};
use constellation_types::{Record, Type, Value};

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

    /// Begins a function: its name, its parameters, and what it does in a sentence or two.
    pub(crate) fn function<const N: usize>(
        &mut self,
        name: &str,
        parameters: [&'static str; N],
        description: &str,
    ) -> Definition<'_, N> {
        let builder = self.builder(name, description);
        Definition { registry: self.registry, builder, parameters, result: "out", pure: true }
    }

    /// Defines a pure function that takes lambdas, with its types spelled out: it is as pure as they are. Those
    /// arguments that are values come first, then those that are functions. An example is as in
    /// [`Definition::example`].
    pub(crate) fn define_higher_order<const N: usize>(
        &mut self,
        name: &str,
        parameters: [(&'static str, Type); N],
        result: Type,
        description: &str,
        (expression, value): (&str, &str),
        function: impl Fn(&[Value], &[Lambda]) -> Outcome + Send + Sync + 'static,
    ) -> Result<(), RegistryError> {
        let builder = self.builder(name, description).example(expression, value);
        self.registry.register(builder.values_with_context(
            parameters,
            [("out", result)],
            move |arguments, context| function(arguments, context.functions()),
        ))
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

/// A function that is being defined. It is pure and its result is named `out`, unless told otherwise.
#[must_use = "a definition does nothing until it is given a function"]
pub(crate) struct Definition<'n, const N: usize> {
    registry: &'n mut ModuleRegistry,
    builder: ModuleBuilder,
    parameters: [&'static str; N],
    result: &'static str,
    pure: bool,
}

impl<const N: usize> Definition<'_, N> {
    /// Adds an example: an expression, and its value as JSON. Tests run it, and the reference of the library shows it.
    pub(crate) fn example(mut self, expression: &str, result: &str) -> Self {
        self.builder = self.builder.example(expression, result);
        self
    }

    /// Names the result.
    pub(crate) fn result(mut self, name: &'static str) -> Self {
        self.result = name;
        self
    }

    /// Says that the function does something besides answering.
    pub(crate) fn effect(mut self) -> Self {
        self.pure = false;
        self
    }

    /// Registers the function.
    pub(crate) fn define<A>(self, function: impl Function<N, A>) -> Result<(), RegistryError> {
        let Self { registry, builder, parameters, result, pure } = self;
        let builder = if pure { builder.pure() } else { builder };
        registry.register(module(builder, parameters, result, function))
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
pub(crate) fn wrong_arguments() -> ModuleError {
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

    /// The value as the answer of a function, where not every value may be one.
    fn into_answer(self) -> Result<Value, ModuleError> {
        Ok(self.into_value())
    }
}

impl<T: Data> Answer for T {
    fn ty() -> Type {
        <T as Argument>::ty()
    }

    fn answer(self) -> Result<Value, ModuleError> {
        self.into_answer()
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

impl Data for f64 {
    fn fits(value: &Value) -> bool {
        matches!(value, Value::Float(_))
    }

    fn into_value(self) -> Value {
        Value::Float(self)
    }

    /// A float is finite in the language, so that any other is an error of the function that makes it.
    fn into_answer(self) -> Result<Value, ModuleError> {
        if self.is_finite() {
            Ok(Value::Float(self))
        } else {
            Err(ModuleError::new(format!("the result is not a finite number but {self}")))
        }
    }
}

/// A value of any type: the type variable `NAME` of a generic signature.
pub(crate) struct Any<const NAME: char = 'T'>(pub(crate) Value);

impl<const NAME: char> Argument for Any<NAME> {
    fn ty() -> Type {
        Type::variable(NAME.to_string())
    }

    fn read(value: &Value) -> Option<Self> {
        Some(Self(value.clone()))
    }
}

impl<const NAME: char> Data for Any<NAME> {
    fn fits(_value: &Value) -> bool {
        true
    }

    fn into_value(self) -> Value {
        self.0
    }
}

impl<T: Data> Argument for Option<T> {
    fn ty() -> Type {
        Type::optional(T::ty())
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Optional(None) => Some(None),
            Value::Optional(Some(inner)) => T::read(inner).map(Some),
            _ => None,
        }
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

            impl<T: Data> Data for $sequence<T> {
                fn fits(value: &Value) -> bool {
                    matches!(value, Value::List(items) if items.iter().all(T::fits))
                }

                fn into_value(self) -> Value {
                    Value::List(self.0)
                }
            }
        )+
    };
}

sequences!(List, Seq);

/// A `Map` of `K` and `V`.
pub(crate) struct Map<K, V>(pub(crate) Arc<[(Value, Value)]>, PhantomData<fn() -> (K, V)>);

impl<K: Data, V: Data> Map<K, V> {
    /// A map of pairs whose keys differ.
    pub(crate) fn of(pairs: Arc<[(Value, Value)]>) -> Self {
        Self(pairs, PhantomData)
    }
}

impl<K: Data, V: Data> Argument for Map<K, V> {
    fn ty() -> Type {
        Type::map(K::ty(), V::ty())
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Map(pairs) if pairs.iter().all(|(key, value)| K::fits(key) && V::fits(value)) => {
                Some(Self::of(Arc::clone(pairs)))
            }
            _ => None,
        }
    }
}

impl<K: Data, V: Data> Answer for Map<K, V> {
    fn ty() -> Type {
        <Self as Argument>::ty()
    }

    fn answer(self) -> Result<Value, ModuleError> {
        Ok(Value::Map(self.0))
    }
}

macro_rules! pairs {
    ($($(#[$doc:meta])* $pair:ident { $first:ident, $second:ident }),+) => {
        $(
            $(#[$doc])*
            pub(crate) struct $pair<A, B> {
                pub(crate) $first: A,
                pub(crate) $second: B,
            }

            impl<A: Data, B: Data> Argument for $pair<A, B> {
                fn ty() -> Type {
                    Type::record([(stringify!($first), A::ty()), (stringify!($second), B::ty())])
                }

                fn read(value: &Value) -> Option<Self> {
                    Some(Self {
                        $first: A::read(value.field(stringify!($first))?)?,
                        $second: B::read(value.field(stringify!($second))?)?,
                    })
                }
            }

            impl<A: Data, B: Data> Data for $pair<A, B> {
                fn fits(value: &Value) -> bool {
                    Self::read(value).is_some()
                }

                fn into_value(self) -> Value {
                    static NAMES: LazyLock<Arc<[Arc<str>]>> =
                        LazyLock::new(|| [stringify!($first), stringify!($second)].map(Arc::from).into());
                    let values = [self.$first.into_value(), self.$second.into_value()];
                    Value::Record(Arc::new(Record::new(Arc::clone(&NAMES), values)))
                }
            }
        )+
    };
}

pairs! {
    /// A key of a map with its value.
    Entry { key, value },
    /// Two values that belong together.
    Pair { first, second }
}
