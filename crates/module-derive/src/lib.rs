//! Derive macro for the types of module inputs and outputs; `constellation-module` re-exports it.
//!
//! **Must not know:** the language, stores, HTTP, an async runtime.

mod data_type;
mod rename;
mod variants;

use proc_macro::TokenStream;

/// Derives `DataType` for a struct or an enum, and `ModuleInput` for a struct with named fields. See the trait
/// `constellation_module::DataType`.
///
/// `#[data_type(crate = "path")]` names the crate `constellation-module`, where it is reached by another path.
#[proc_macro_derive(DataType, attributes(data_type, serde))]
pub fn derive_data_type(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    data_type::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
