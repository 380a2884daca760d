//! Modules: the Rust code that pipelines call.
//!
//! A [`Module`] has a [`ModuleSpec`] and is called with values. [`ModuleBuilder`] makes one from a plain function
//! over your own types, for which `#[derive(DataType)]` tells the types of the language. A [`ModuleRegistry`] holds
//! the modules that pipelines can call.
//!
//! ```
//! use constellation_module::{DataType, ModuleBuilder, ModuleRegistry};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, DataType)]
//! struct Order {
//!     quantity: u32,
//!     price: f64,
//!     discount: Option<f64>,
//! }
//!
//! #[derive(Serialize, DataType)]
//! struct Quote {
//!     total: f64,
//! }
//!
//! async fn quote(order: Order) -> Result<Quote, String> {
//!     let total = f64::from(order.quantity) * order.price - order.discount.unwrap_or(0.0);
//!     if total < 0.0 { Err(format!("the discount exceeds the price by {}", -total)) } else { Ok(Quote { total }) }
//! }
//!
//! let module = ModuleBuilder::new("QuoteOrder").version(1, 0).description("Prices an order.").asynchronous(quote);
//! let mut registry = ModuleRegistry::new();
//! registry.register(module)?;
//! assert_eq!(
//!     registry.signatures().next().unwrap().to_string(),
//!     "QuoteOrder(quantity: Int, price: Float, discount: Optional<Float>) -> Float"
//! );
//! # Ok::<(), constellation_module::RegistryError>(())
//! ```
//!
//! **Must not know:** the language, stores, HTTP, an async runtime.

mod builder;
mod convert;
mod data_type;
mod error;
mod function;
mod module;
mod registry;
pub mod testkit;

pub use builder::{ModuleBuilder, ModuleOutput, NamedParameters, PlainFunction};
/// Derives [`DataType`](trait@DataType) for a struct or an enum; see the trait.
pub use constellation_module_derive::DataType;
pub use constellation_types as types;
pub use convert::{ConversionError, from_typed_value, from_value, to_value};
pub use data_type::{DataType, MapKey, ModuleInput};
pub use error::ModuleError;
pub use function::Function;
pub use module::{CallContext, CallExample, Cancellation, Module, ModuleSpec, Outcome};
pub use registry::{ModuleRegistry, RegistryError};

/// What the derive expands to; no API.
#[doc(hidden)]
pub use data_type::derive_support;
