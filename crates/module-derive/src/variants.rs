//! Enums: texts, when no variant carries data, and unions, when all do.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, Error, Fields, Ident, Result, Variant};

use crate::data_type::{Container, field_entries, one_name, skip_value, type_of};
use crate::rename::Rule;

/// The body of `data_type`.
pub(crate) fn expand(data: &DataEnum, container: &Container, name: &Ident) -> Result<TokenStream> {
    let module = &container.module;
    if data.variants.iter().all(|variant| matches!(variant.fields, Fields::Unit)) {
        return Ok(quote!(#module::types::Type::String));
    }
    if data.variants.len() == 1 {
        let message =
            format!("`{name}` has one variant, and a union has two members or more: make it a struct");
        return Err(Error::new_spanned(name, message));
    }
    let members = data.variants.iter().map(|variant| member(variant, container, name));
    let members = members.collect::<Result<Vec<_>>>()?;
    Ok(quote!(#module::derive_support::union::<Self>(|| ::std::vec![#(#members),*])))
}

/// The name of a variant, and the type of what it carries.
fn member(variant: &Variant, container: &Container, name: &Ident) -> Result<TokenStream> {
    let module = &container.module;
    let rename_all = fields_rule(variant)?.unwrap_or(container.rename_all_fields);
    let refuse = |what: String| {
        let path = format!("{name}::{}", variant.ident);
        Err(Error::new_spanned(variant, format!("`{path}` {what}")))
    };
    let ty = match &variant.fields {
        Fields::Named(fields) => {
            let entries = field_entries(&fields.named, module, rename_all)?;
            quote!(#module::derive_support::record::<Self>(|| ::std::vec![#(#entries),*]))
        }
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => type_of(module, &fields.unnamed[0].ty),
        Fields::Unnamed(_) => {
            return refuse(
                "is a tuple, which has no type in the pipeline language: give its fields names".into(),
            );
        }
        Fields::Unit => {
            return refuse(format!(
                "carries no data while other variants do: the members of a union are types, so give it a field, such \
                 as `{} {{ reason: String }}`",
                variant.ident
            ));
        }
    };
    let variant = variant.ident.to_string();
    Ok(quote!((#variant, #ty)))
}

/// The rule for the names of a variant's fields, if it has one of its own.
fn fields_rule(variant: &Variant) -> Result<Option<Rule>> {
    let mut rule = None;
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            match name.as_str() {
                "rename_all" => rule = Some(Rule::parse(&one_name(&meta)?)?),
                "skip" | "skip_serializing" | "skip_deserializing" | "other" | "untagged" | "with"
                | "serialize_with" | "deserialize_with" => {
                    return Err(meta.error(format!(
                        "`serde({name})` keeps the variant from being a member of the union; leave it out, or implement \
                         `DataType` by hand"
                    )));
                }
                _ => skip_value(&meta)?,
            }
            Ok(())
        })?;
    }
    Ok(rule)
}
