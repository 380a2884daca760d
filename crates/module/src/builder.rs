//! From a plain function to a module.

mod named;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use constellation_types::{FunctionSignature, Parameter, Type, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use named::{NamedParameters, PlainFunction};

use crate::convert::{Arguments, Shape};
use crate::{CallContext, CallExample, DataType, Module, ModuleError, ModuleInput, ModuleSpec, Outcome};

/// Builds a module: name and description first, at last the function.
///
/// The fields of the function's input are the parameters; [`ModuleBuilder::parameters`] is for functions of plain
/// arguments. The fields of its output are the results, if it is a struct; anything else is one result named `out`.
///
/// ```
/// # use constellation_module::{CallContext, DataType, Module, ModuleBuilder, Outcome};
/// # use constellation_types::Value;
/// #[derive(serde::Deserialize, DataType)]
/// struct Input {
///     text: String,
/// }
///
/// let shout = ModuleBuilder::new("demo.Shout").function(|input: Input| input.text.to_uppercase() + "!");
/// assert_eq!(shout.spec().signature.to_string(), "demo.Shout(text: String) -> String");
/// let outcome = shout.call(&[Value::string("hi")], &CallContext::default());
/// assert!(matches!(outcome, Outcome::Ready(Ok(value)) if value == Value::string("HI!")));
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is given a function"]
pub struct ModuleBuilder {
    spec: ModuleSpec,
    /// The name of a single result that is no record.
    result: Option<Arc<str>>,
}

impl ModuleBuilder {
    /// Starts a module of this name, version 1.0. Programs call it by the part after the last dot; the part before
    /// is the namespace to import it from.
    pub fn new(name: &str) -> Self {
        let (namespace, function) = match name.rsplit_once('.') {
            Some((namespace, function)) => (Some(namespace), function),
            None => (None, name),
        };
        Self {
            spec: ModuleSpec::new(FunctionSignature {
                name: function.into(),
                namespace: namespace.map(Into::into),
                module: name.into(),
                major: 1,
                parameters: Vec::new(),
                results: Vec::new(),
            }),
            result: None,
        }
    }

    /// The namespace that programs import it from, when it is not the first part of the module's name.
    pub fn namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.spec.signature.namespace = Some(namespace.into());
        self
    }

    /// The name that programs call, when it is not the last part of the module's name.
    pub fn function_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.spec.signature.name = name.into();
        self
    }

    /// The version. A stored pipeline runs only with the major version that it was compiled against.
    pub fn version(mut self, major: u32, minor: u32) -> Self {
        self.spec.signature.major = major;
        self.spec.minor = minor;
        self
    }

    /// What the module does, for people.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.spec.description = description.into();
        self
    }

    /// Adds a call to learn from: an expression of the language that needs no input, and its value as JSON.
    pub fn example(mut self, expression: impl Into<String>, result: impl Into<String>) -> Self {
        self.spec.examples.push(CallExample { expression: expression.into(), result: result.into() });
        self
    }

    /// Adds a word to find it by.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.spec.tags.push(tag.into());
        self
    }

    /// How long one call may take, where the program does not say.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.timeout = Some(timeout);
        self
    }

    /// Says that equal arguments give equal answers and that a call changes nothing else, so that calls may be
    /// repeated or spared.
    pub fn pure(mut self) -> Self {
        self.spec.pure = true;
        self
    }

    /// Lets clients of a server call the module by itself, without a program. A module that takes lambdas or is generic
    /// cannot be published: a registry refuses it.
    pub fn published(mut self) -> Self {
        self.spec.published = true;
        self
    }

    /// Names the one result of a function whose output is no struct; `out` otherwise. The fields of a struct have
    /// names already.
    pub fn result(mut self, name: impl Into<Arc<str>>) -> Self {
        self.result = Some(name.into());
        self
    }

    /// Names the parameters of a function that takes plain arguments instead of one struct.
    ///
    /// ```
    /// # use constellation_module::{Module, ModuleBuilder};
    /// async fn repeat(text: String, times: u8) -> String {
    ///     text.repeat(times.into())
    /// }
    ///
    /// let module = ModuleBuilder::new("Repeat").parameters(["text", "times"]).asynchronous(repeat);
    /// assert_eq!(module.spec().signature.to_string(), "Repeat(text: String, times: Int) -> String");
    /// ```
    pub fn parameters<const N: usize>(self, names: [&str; N]) -> NamedParameters<N> {
        NamedParameters { builder: self, names: names.map(Into::into) }
    }

    /// A module of a function that answers at once. It runs inline in the pipeline, so it must not block.
    ///
    /// # Panics
    ///
    /// When a type cannot be told; see [`DataType::data_type`](crate::DataType#tymethod.data_type).
    pub fn function<I, O>(self, function: impl Fn(I) -> O + Send + Sync + 'static) -> impl Module
    where
        I: ModuleInput + for<'de> Deserialize<'de> + 'static,
        O: ModuleOutput + 'static,
    {
        self.function_with_context(move |input, _context| function(input))
    }

    /// A module of a function that answers at once and is told about the run it is called in.
    ///
    /// # Panics
    ///
    /// As [`ModuleBuilder::function`].
    pub fn function_with_context<I, O>(
        self,
        function: impl Fn(I, &CallContext) -> O + Send + Sync + 'static,
    ) -> impl Module
    where
        I: ModuleInput + for<'de> Deserialize<'de> + 'static,
        O: ModuleOutput + 'static,
    {
        Typed::new::<O>(self, I::parameters()).at_once(function)
    }

    /// A module of an `async` function. Dropping its future cancels the call.
    ///
    /// # Panics
    ///
    /// As [`ModuleBuilder::function`].
    pub fn asynchronous<I, F>(self, function: impl Fn(I) -> F + Send + Sync + 'static) -> impl Module
    where
        I: ModuleInput + for<'de> Deserialize<'de> + 'static,
        F: Future<Output: ModuleOutput> + Send + 'static,
    {
        self.asynchronous_with_context(move |input, _context| function(input))
    }

    /// A module of an `async` function that is also told about the run it is called in.
    ///
    /// # Panics
    ///
    /// As [`ModuleBuilder::function`].
    pub fn asynchronous_with_context<I, F>(
        self,
        function: impl Fn(I, CallContext) -> F + Send + Sync + 'static,
    ) -> impl Module
    where
        I: ModuleInput + for<'de> Deserialize<'de> + 'static,
        F: Future<Output: ModuleOutput> + Send + 'static,
    {
        Typed::new::<F::Output>(self, I::parameters()).later(function)
    }

    /// A module of a function over plain values, with parameters and results spelled out. It is for generic
    /// signatures, with [`Type::Variable`], and for functions that must not convert anything. The function gets one
    /// value for each parameter, of its type.
    pub fn values<N: Into<Arc<str>>>(
        self,
        parameters: impl IntoIterator<Item = (N, Type)>,
        results: impl IntoIterator<Item = (N, Type)>,
        function: impl Fn(&[Value]) -> Result<Value, ModuleError> + Send + Sync + 'static,
    ) -> impl Module {
        self.values_with_context(parameters, results, move |arguments, _context| {
            Outcome::Ready(function(arguments))
        })
    }

    /// A module of a function over plain values that is also told about its call, and may answer later. It is for
    /// modules that take lambdas: parameters of a function type are in [`CallContext::functions`], the others among
    /// the values.
    ///
    /// ```
    /// # use constellation_module::types::{Type, Value};
    /// # use constellation_module::{CallContext, Function, Module, ModuleBuilder, Outcome};
    /// let twice = ModuleBuilder::new("demo.Twice").values_with_context(
    ///     [("start", Type::Int), ("step", Type::function([Type::Int], Type::Int))],
    ///     [("out", Type::Int)],
    ///     |arguments, context| {
    ///         let (start, step) = (arguments[0].clone(), context.functions()[0].clone());
    ///         Outcome::Pending(Box::pin(async move {
    ///             let once = step.call(&[start]).wait().await?;
    ///             step.call(&[once]).wait().await
    ///         }))
    ///     },
    /// );
    /// assert_eq!(twice.spec().signature.to_string(), "demo.Twice(start: Int, step: (Int) => Int) -> Int");
    /// ```
    pub fn values_with_context<N: Into<Arc<str>>>(
        mut self,
        parameters: impl IntoIterator<Item = (N, Type)>,
        results: impl IntoIterator<Item = (N, Type)>,
        function: impl Fn(&[Value], &CallContext) -> Outcome + Send + Sync + 'static,
    ) -> impl Module {
        let parameter = |(name, ty): (N, Type)| Parameter { name: name.into(), ty };
        self.spec.signature.parameters = parameters.into_iter().map(parameter).collect();
        self.spec.signature.results = results.into_iter().map(parameter).collect();
        FunctionModule { function, spec: self.spec }
    }
}

/// What a module's function answers with: a type that stands for one of the language, or a `Result` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the output of a module",
    label = "not a type that modules give",
    note = "return a struct with `#[derive(serde::Serialize, DataType)]`, whose fields are the results, or a type \
            such as `i64`, `String` or `Vec<f64>`, or a `Result` of one of these",
    note = "the error of a `Result` converts to `Box<dyn Error + Send + Sync>`: any error type, `String`, `&str`"
)]
pub trait ModuleOutput {
    #[doc(hidden)]
    fn output_type() -> Type;

    #[doc(hidden)]
    fn into_answer(self, codec: &Codec) -> Result<Value, ModuleError>;
}

impl<T: DataType + Serialize> ModuleOutput for T {
    fn output_type() -> Type {
        T::data_type()
    }

    fn into_answer(self, codec: &Codec) -> Result<Value, ModuleError> {
        codec.output(&self)
    }
}

impl<T, E> ModuleOutput for Result<T, E>
where
    T: DataType + Serialize,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn output_type() -> Type {
        T::data_type()
    }

    fn into_answer(self, codec: &Codec) -> Result<Value, ModuleError> {
        codec.output(&self.map_err(ModuleError::from_error)?)
    }
}

/// Converts arguments to the input of a function and its output to the answer; no API.
#[doc(hidden)]
#[derive(Debug)]
pub struct Codec {
    arguments: Arguments,
    output: Shape,
    /// The name of the result, when there is one that is no record.
    result: Arc<str>,
    /// Whether the output is a record of one field, whose value is the answer.
    single_field: bool,
}

impl Codec {
    fn input<I: DeserializeOwned>(&self, arguments: &[Value]) -> Result<I, ModuleError> {
        self.arguments.read(arguments).map_err(|error| {
            if error.path.is_empty() {
                ModuleError::new(format!("the arguments do not fit: {}", error.message))
            } else {
                ModuleError::new(format!("argument '{}': {}", error.path, error.message))
            }
        })
    }

    fn output<T: Serialize>(&self, output: &T) -> Result<Value, ModuleError> {
        let value = self.output.encode(output).map_err(|error| {
            let path = if error.path.is_empty() { &*self.result } else { &error.path };
            ModuleError::new(format!("result '{path}': {}", error.message))
        })?;
        match value {
            Value::Record(record) if self.single_field => Ok(record.values()[0].clone()),
            value => Ok(value),
        }
    }
}

struct Typed {
    spec: ModuleSpec,
    codec: Arc<Codec>,
}

impl Typed {
    fn new<O: ModuleOutput>(builder: ModuleBuilder, parameters: Vec<Parameter>) -> Self {
        let ModuleBuilder { mut spec, result } = builder;
        let result = result.unwrap_or_else(|| "out".into());
        let output = O::output_type();
        let codec = Codec {
            arguments: Arguments::of(&parameters),
            output: Shape::of(&output),
            result: Arc::clone(&result),
            single_field: output.as_record().is_some_and(|record| record.fields().len() == 1),
        };
        spec.signature.parameters = parameters;
        spec.signature.results = match output.as_record() {
            Some(record) => record
                .fields()
                .iter()
                .map(|field| Parameter { name: Arc::clone(&field.name), ty: field.ty.clone() })
                .collect(),
            None => vec![Parameter { name: result, ty: output }],
        };
        Self { spec, codec: Arc::new(codec) }
    }

    /// A module of a function that answers at once.
    fn at_once<I, O>(self, function: impl Fn(I, &CallContext) -> O + Send + Sync + 'static) -> impl Module
    where
        I: DeserializeOwned + 'static,
        O: ModuleOutput + 'static,
    {
        let Self { spec, codec } = self;
        let function = move |arguments: &[Value], context: &CallContext| {
            let answer =
                codec.input(arguments).and_then(|input| function(input, context).into_answer(&codec));
            Outcome::Ready(answer)
        };
        FunctionModule { spec, function }
    }

    /// A module of a function that answers later.
    fn later<I, F>(self, function: impl Fn(I, CallContext) -> F + Send + Sync + 'static) -> impl Module
    where
        I: DeserializeOwned + 'static,
        F: Future<Output: ModuleOutput> + Send + 'static,
    {
        let Self { spec, codec } = self;
        let function = move |arguments: &[Value], context: &CallContext| {
            let input = match codec.input(arguments) {
                Ok(input) => input,
                Err(error) => return Outcome::Ready(Err(error)),
            };
            let answer = function(input, context.clone());
            let codec = Arc::clone(&codec);
            Outcome::Pending(Box::pin(async move { answer.await.into_answer(&codec) }))
        };
        FunctionModule { spec, function }
    }
}

struct FunctionModule<F> {
    spec: ModuleSpec,
    function: F,
}

impl<F: Fn(&[Value], &CallContext) -> Outcome + Send + Sync + 'static> Module for FunctionModule<F> {
    fn spec(&self) -> &ModuleSpec {
        &self.spec
    }

    fn call(&self, arguments: &[Value], context: &CallContext) -> Outcome {
        (self.function)(arguments, context)
    }
}

impl<F> fmt::Debug for FunctionModule<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionModule").field("spec", &self.spec).finish_non_exhaustive()
    }
}
