//! Which type of the language a Rust type stands for.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use constellation_types::{Field, MAX_TYPE_DEPTH, Parameter, Type};

/// A Rust type that stands for a type of the language.
///
/// | Rust | language |
/// |---|---|
/// | `i8` to `i64`, `isize`, `u8` to `u64`, `usize` | `Int`; what does not fit fails the call |
/// | `f32`, `f64` | `Float`; a result that is not finite fails the call |
/// | `bool` | `Boolean` |
/// | `String`, `&str`, `Arc<str>`, `Box<str>` | `String` |
/// | `Option<T>` | `Optional<T>` |
/// | `Vec<T>`, `[T]` behind a pointer | `List<T>` |
/// | `HashMap<K, V>`, `BTreeMap<K, V>` with keys `String` or integers | `Map<K, V>`, as a result sorted by key |
/// | `Box<T>`, `Arc<T>`, `&T` | what `T` stands for |
/// | struct with named fields, derived | record |
/// | struct with one unnamed field, derived | what the field stands for |
/// | enum of plain names, derived | `String` |
/// | enum whose variants carry one value or named fields, derived | union of what they carry |
///
/// Values are converted by serde, so the type implements `Deserialize` (for inputs) or `Serialize` (for outputs) as
/// well. The derive honours the serde attributes that change names (`rename`, `rename_all`, `rename_all_fields`,
/// `skip`, `transparent`) and refuses those that change the shape. Names of fields must be identifiers of the language.
/// The members of a union are told apart by their types and not by the names of the variants, so no two variants carry
/// the same.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not stand for a type of the pipeline language",
    label = "not a type that modules take or give",
    note = "add `#[derive(DataType)]` to your own structs and enums; integers of up to 64 bits, `f32`, `f64`, `String`, \
            `bool`, `Option`, `Vec` and maps with `String` or integer keys can be used as they are",
    note = "for `char` and `PathBuf` use `String`, for a set or an array use `Vec`, for a tuple a struct with named fields"
)]
pub trait DataType {
    /// The type.
    ///
    /// # Panics
    ///
    /// When the derived type contains itself: the language has no recursive types. When two variants of a derived enum
    /// carry data of the same type, or one carries a union: they could not be told apart.
    fn data_type() -> Type;
}

/// The input of a module: a struct whose fields are the parameters, or `()` for none. `#[derive(DataType)]`
/// implements it for structs with named fields.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the input of a module",
    label = "not a struct with `#[derive(DataType)]`",
    note = "a module takes one struct with named fields, which are its parameters in order, and \
            `#[derive(serde::Deserialize, DataType)]`; use `()` for a module without parameters",
    note = "for a function of plain arguments name these first: `.parameters([\"a\", \"b\"])`"
)]
pub trait ModuleInput {
    /// The parameters, in the order of arguments.
    fn parameters() -> Vec<Parameter>;
}

impl ModuleInput for () {
    fn parameters() -> Vec<Parameter> {
        Vec::new()
    }
}

macro_rules! stands_for {
    ($($ty:expr => $($rust:ty),+;)+) => {
        $($(
            impl DataType for $rust {
                fn data_type() -> Type {
                    $ty
                }
            }
        )+)+
    };
}

stands_for! {
    Type::Int => i8, i16, i32, i64, isize, u8, u16, u32, u64, usize;
    Type::Float => f32, f64;
    Type::Boolean => bool;
    Type::String => String, str;
}

impl<T: DataType> DataType for Option<T> {
    fn data_type() -> Type {
        Type::optional(T::data_type())
    }
}

impl<T: DataType> DataType for Vec<T> {
    fn data_type() -> Type {
        Type::list(T::data_type())
    }
}

impl<T: DataType> DataType for [T] {
    fn data_type() -> Type {
        Type::list(T::data_type())
    }
}

impl<T: DataType + ?Sized> DataType for Box<T> {
    fn data_type() -> Type {
        T::data_type()
    }
}

impl<T: DataType + ?Sized> DataType for Arc<T> {
    fn data_type() -> Type {
        T::data_type()
    }
}

impl<T: DataType + ?Sized> DataType for &T {
    fn data_type() -> Type {
        T::data_type()
    }
}

impl<K: MapKey, V: DataType, S> DataType for HashMap<K, V, S> {
    fn data_type() -> Type {
        Type::map(K::data_type(), V::data_type())
    }
}

impl<K: MapKey, V: DataType> DataType for BTreeMap<K, V> {
    fn data_type() -> Type {
        Type::map(K::data_type(), V::data_type())
    }
}

/// A type that can be the key of a map: `String` or an integer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a map in the pipeline language",
    note = "use `String` or an integer type"
)]
pub trait MapKey: DataType {}

macro_rules! map_keys {
    ($($rust:ty),+) => { $(impl MapKey for $rust {})+ };
}

map_keys!(String, Box<str>, Arc<str>, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

/// What the derive expands to; no API.
pub mod derive_support {
    use super::{Cell, DataType, Field, MAX_TYPE_DEPTH, Parameter, Type};

    thread_local! {
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }

    /// The record type of a struct, unless it contains itself.
    pub fn record<T: ?Sized>(fields: impl FnOnce() -> Vec<(&'static str, Type)>) -> Type {
        Type::record(nested::<T, _>(fields))
    }

    /// The type inside a struct with one unnamed field.
    pub fn newtype<T: ?Sized>(inner: impl FnOnce() -> Type) -> Type {
        nested::<T, _>(inner)
    }

    /// The union of what the variants of an enum carry.
    pub fn union<T: ?Sized>(variants: impl FnOnce() -> Vec<(&'static str, Type)>) -> Type {
        let variants = nested::<T, _>(variants);
        let name = std::any::type_name::<T>();
        for (index, (variant, ty)) in variants.iter().enumerate() {
            // serde tells variants by their place, so that none may be dropped or become two.
            assert!(
                !matches!(ty, Type::Union(_)),
                "`{name}::{variant}` carries a union, and the pipeline language has no unions in unions: list its \
                 variants here"
            );
            if let Some((other, _)) = variants[..index].iter().find(|(_, other)| other.is_equivalent(ty)) {
                panic!(
                    "`{name}::{other}` and `{name}::{variant}` carry the same type, {ty}, by which the members of a \
                     union are told apart: add a field to one of them"
                );
            }
        }
        Type::union(variants.into_iter().map(|(_, ty)| ty))
    }

    /// The fields of a struct as parameters.
    pub fn parameters<T: DataType>() -> Vec<Parameter> {
        match T::data_type() {
            Type::Record(record) => record
                .fields()
                .iter()
                .map(|Field { name, ty }| Parameter { name: name.clone(), ty: ty.clone() })
                .collect(),
            _ => unreachable!("the derive implements `ModuleInput` for structs with named fields only"),
        }
    }

    /// Counts how deep the types of structs nest on this thread. A struct that contains itself would nest for
    /// ever.
    fn nested<T: ?Sized, R>(inside: impl FnOnce() -> R) -> R {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                DEPTH.with(|depth| depth.set(depth.get() - 1));
            }
        }
        let depth = DEPTH.with(|depth| {
            depth.set(depth.get() + 1);
            depth.get()
        });
        let _leave = Leave;
        assert!(
            depth <= MAX_TYPE_DEPTH,
            "the type `{}` contains itself: the pipeline language has no recursive types",
            std::any::type_name::<T>()
        );
        inside()
    }
}
