//! Modules of functions that take plain arguments.

use std::sync::Arc;

use constellation_types::{Parameter, Type};
use serde::de::DeserializeOwned;

use super::Typed;
use crate::{DataType, Module, ModuleBuilder, ModuleOutput};

/// Builds a module whose function takes one plain argument for each of these names, up to six; see
/// [`ModuleBuilder::parameters`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is given a function"]
pub struct NamedParameters<const N: usize> {
    pub(super) builder: ModuleBuilder,
    pub(super) names: [Arc<str>; N],
}

impl<const N: usize> NamedParameters<N> {
    /// A module of a function that answers at once; see [`ModuleBuilder::function`].
    ///
    /// # Panics
    ///
    /// As [`ModuleBuilder::function`].
    ///
    /// ```
    /// # use constellation_module::{Module, ModuleBuilder};
    /// let add = ModuleBuilder::new("Add").parameters(["a", "b"]).function(|a: i64, b: i64| a + b);
    /// assert_eq!(add.spec().signature.to_string(), "Add(a: Int, b: Int) -> Int");
    /// ```
    pub fn function<A, F>(self, function: F) -> impl Module + use<N, A, F>
    where
        F: PlainFunction<N, A, Output: ModuleOutput + 'static>,
    {
        self.typed::<A, F, F::Output>()
            .at_once(move |arguments: F::Arguments, _context| function.call_with(arguments))
    }

    /// A module of an `async` function; see [`ModuleBuilder::asynchronous`].
    ///
    /// # Panics
    ///
    /// As [`ModuleBuilder::function`].
    pub fn asynchronous<A, F>(self, function: F) -> impl Module + use<N, A, F>
    where
        F: PlainFunction<N, A, Output: Future<Output: ModuleOutput> + Send + 'static>,
    {
        self.typed::<A, F, <F::Output as Future>::Output>()
            .later(move |arguments: F::Arguments, _context| function.call_with(arguments))
    }

    fn typed<A, F: PlainFunction<N, A>, O: ModuleOutput>(self) -> Typed {
        let Self { builder, names } = self;
        let parameters = names.into_iter().zip(F::types()).map(|(name, ty)| Parameter { name, ty });
        Typed::new::<O>(builder, parameters.collect())
    }
}

/// A function of `N` plain arguments of the types `A`: numbers, texts, lists, or anything else that implements
/// [`DataType`] and `Deserialize`.
#[diagnostic::on_unimplemented(
    message = "this is not a function of {N} arguments that stand for types of the pipeline language",
    label = "expected a function of {N} arguments",
    note = "`parameters` has one name for each argument of the function, up to six; each argument is of a type that \
            implements `DataType` and `serde::Deserialize`, and that the function spells out"
)]
pub trait PlainFunction<const N: usize, A>: Send + Sync + 'static {
    #[doc(hidden)]
    type Arguments: DeserializeOwned + 'static;

    /// What it answers with.
    type Output;

    #[doc(hidden)]
    fn types() -> [Type; N];

    #[doc(hidden)]
    fn call_with(&self, arguments: Self::Arguments) -> Self::Output;
}

macro_rules! plain_functions {
    ($($count:literal: $($argument:ident)*;)+) => {
        $(
            impl<F, R, $($argument),*> PlainFunction<$count, ($($argument,)*)> for F
            where
                F: Fn($($argument),*) -> R + Send + Sync + 'static,
                $($argument: DataType + DeserializeOwned + 'static,)*
            {
                type Arguments = ($($argument,)*);
                type Output = R;

                fn types() -> [Type; $count] {
                    [$($argument::data_type()),*]
                }

                #[expect(non_snake_case, reason = "an argument is named as its type")]
                fn call_with(&self, ($($argument,)*): Self::Arguments) -> R {
                    self($($argument),*)
                }
            }
        )+
    };
}

plain_functions! {
    1: A;
    2: A B;
    3: A B C;
    4: A B C D;
    5: A B C D E;
    6: A B C D E G;
}
