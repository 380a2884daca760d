//! The expansion of `#[derive(DataType)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DataStruct, DeriveInput, Error, Field, Fields, Ident, LitStr, Path, Result, Token,
};

use crate::rename::Rule;

/// The implementations for one type.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let container = Container::parse(&input.attrs)?;
    let module = &container.module;
    let (body, is_input) = match &input.data {
        Data::Struct(data) => expand_struct(data, &container, &input.ident)?,
        Data::Enum(data) => (crate::variants::expand(data, &container, &input.ident)?, false),
        Data::Union(data) => {
            return Err(Error::new_spanned(
                data.union_token,
                "`DataType` cannot be derived for a Rust union; use a struct with named fields",
            ));
        }
    };
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(syn::parse_quote!(#module::DataType));
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let module_input = is_input.then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics #module::ModuleInput for #name #type_generics #where_clause {
                fn parameters() -> ::std::vec::Vec<#module::types::Parameter> {
                    #module::derive_support::parameters::<Self>()
                }
            }
        }
    });
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #module::DataType for #name #type_generics #where_clause {
            fn data_type() -> #module::types::Type {
                #body
            }
        }

        #module_input
    })
}

/// The body of `data_type`, and whether the struct can be the input of a module.
fn expand_struct(data: &DataStruct, container: &Container, name: &Ident) -> Result<(TokenStream, bool)> {
    let module = &container.module;
    let fields = match &data.fields {
        Fields::Named(fields) if container.transparent => {
            let [field] = fields.named.iter().collect::<Vec<_>>()[..] else {
                return Err(Error::new_spanned(name, "a `serde(transparent)` struct has exactly one field"));
            };
            return Ok((newtype(module, &field.ty), false));
        }
        Fields::Named(fields) => &fields.named,
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            return Ok((newtype(module, &fields.unnamed[0].ty), false));
        }
        Fields::Unnamed(_) => {
            return Err(Error::new_spanned(
                name,
                "a tuple has no type in the pipeline language: give the fields names",
            ));
        }
        Fields::Unit => {
            return Err(Error::new_spanned(
                name,
                format!(
                    "a struct without fields is written `struct {name} {{}}`, so that serde reads it as a record"
                ),
            ));
        }
    };
    let entries = field_entries(fields, module, container.rename_all)?;
    let body = quote!(#module::derive_support::record::<Self>(|| ::std::vec![#(#entries),*]));
    Ok((body, true))
}

/// A name and a type for each field.
pub(crate) fn field_entries<'f>(
    fields: impl IntoIterator<Item = &'f Field>,
    module: &Path,
    rename_all: Rule,
) -> Result<Vec<TokenStream>> {
    let mut entries = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for field in fields {
        let attributes = FieldAttributes::parse(&field.attrs)?;
        if attributes.skip {
            continue;
        }
        let ident = field.ident.as_ref().expect("a named field has a name");
        let (field_name, span) = match attributes.rename {
            Some(literal) => (literal.value(), literal.span()),
            None => (rename_all.apply_to_field(&unraw(ident)), ident.span()),
        };
        if !is_identifier(&field_name) {
            let message = format!(
                "'{field_name}' is not a name in the pipeline language: names match [A-Za-z_][A-Za-z0-9_-]*"
            );
            return Err(Error::new(span, message));
        }
        if names.contains(&field_name) {
            return Err(Error::new(span, format!("two fields are named '{field_name}'")));
        }
        let inner = type_of(module, &field.ty);
        entries.push(quote!((#field_name, #inner)));
        names.push(field_name);
    }
    Ok(entries)
}

/// The type that a field's type stands for. The span makes a missing implementation point at it.
pub(crate) fn type_of(module: &Path, ty: &syn::Type) -> TokenStream {
    quote_spanned!(ty.span()=> <#ty as #module::DataType>::data_type())
}

fn newtype(module: &Path, ty: &syn::Type) -> TokenStream {
    let inner = type_of(module, ty);
    quote!(#module::derive_support::newtype::<Self>(|| #inner))
}

pub(crate) struct Container {
    pub(crate) module: Path,
    pub(crate) rename_all: Rule,
    /// Of the fields of variants.
    pub(crate) rename_all_fields: Rule,
    transparent: bool,
}

impl Container {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut container = Self {
            module: syn::parse_quote!(::constellation_module),
            rename_all: Rule::None,
            rename_all_fields: Rule::None,
            transparent: false,
        };
        for attribute in attributes {
            if attribute.path().is_ident("data_type") {
                attribute.parse_nested_meta(|meta| {
                    if !meta.path.is_ident("crate") {
                        return Err(meta.error(
                            "unknown attribute; there is `crate = \"path\"`. Names are changed by `serde(rename)` and \
                             `serde(rename_all)`, since serde converts the values",
                        ));
                    }
                    container.module = meta.value()?.parse::<LitStr>()?.parse()?;
                    Ok(())
                })?;
            }
            if attribute.path().is_ident("serde") {
                attribute.parse_nested_meta(|meta| {
                    let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                    match name.as_str() {
                        "transparent" => container.transparent = true,
                        "rename_all" => container.rename_all = Rule::parse(&one_name(&meta)?)?,
                        "rename_all_fields" => container.rename_all_fields = Rule::parse(&one_name(&meta)?)?,
                        "tag" | "content" | "untagged" | "from" | "try_from" | "into" | "remote"
                        | "variant_identifier" | "field_identifier" => {
                            return Err(meta.error(format!(
                                "`serde({name})` changes the shape of the type, so that `DataType` cannot be derived; \
                                 implement it by hand"
                            )));
                        }
                        _ => skip_value(&meta)?,
                    }
                    Ok(())
                })?;
            }
        }
        Ok(container)
    }
}

#[derive(Default)]
struct FieldAttributes {
    rename: Option<LitStr>,
    skip: bool,
}

impl FieldAttributes {
    fn parse(attributes: &[Attribute]) -> Result<Self> {
        let mut parsed = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                match name.as_str() {
                    "rename" => parsed.rename = Some(one_name(&meta)?),
                    "skip" => parsed.skip = true,
                    "skip_serializing" | "skip_deserializing" => {
                        return Err(meta.error(format!(
                            "`serde({name})` makes the type differ between inputs and outputs; use `skip`, or one \
                             struct for each"
                        )));
                    }
                    "flatten" | "with" | "serialize_with" | "deserialize_with" | "getter" => {
                        return Err(meta.error(format!(
                            "`serde({name})` changes the shape of the field, so that its type cannot be told; give \
                             the field a type of its own that implements `DataType`"
                        )));
                    }
                    _ => skip_value(&meta)?,
                }
                Ok(())
            })?;
        }
        Ok(parsed)
    }
}

/// The name in `rename = "x"`; the form with two names makes inputs and outputs differ.
pub(crate) fn one_name(meta: &syn::meta::ParseNestedMeta<'_>) -> Result<LitStr> {
    if meta.input.peek(syn::token::Paren) {
        return Err(meta.error(
            "different names for reading and writing make the type differ between inputs and outputs; use one name, or \
             one struct for each",
        ));
    }
    meta.value()?.parse()
}

/// Passes over an attribute that does not change the type: `name`, `name = value` or `name(...)`.
pub(crate) fn skip_value(meta: &syn::meta::ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let content;
        syn::parenthesized!(content in meta.input);
        content.parse::<TokenStream>()?;
    }
    Ok(())
}

/// The name of a field without the `r#` of a raw identifier, as serde takes it.
fn unraw(ident: &Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or_else(|| text.clone(), str::to_owned)
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
