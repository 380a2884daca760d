//! Signatures from their text.

use std::sync::Arc;

use constellation_lang::{FunctionTable, compile, tokenize};
use constellation_types::{Parameter, Type};

/// What a mock is called, takes and gives.
#[derive(Debug, PartialEq)]
pub(crate) struct Signature {
    pub(crate) name: Arc<str>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) result: Type,
}

/// Reads `Name(parameter: Type, ...) -> Type`.
pub(crate) fn parse(text: &str) -> Result<Signature, String> {
    let parts = text.split_once('(').and_then(|(name, rest)| {
        // No type is written with an arrow of this kind.
        let (parameters, result) = rest.rsplit_once("->")?;
        Some((name.trim(), parameters.trim().strip_suffix(')')?.trim(), result.trim()))
    });
    let Some((name, parameters, result)) = parts else {
        return Err(format!("'{text}' is not written as 'Name(parameter: Type) -> Type'"));
    };
    let parameters = if parameters.is_empty() {
        Vec::new()
    } else {
        let fields = type_of(&format!("{{ {parameters} }}"), text)?;
        let record = fields
            .as_record()
            .ok_or_else(|| format!("'{parameters}' in '{text}' is no list of parameters"))?;
        let fields = record.fields().iter();
        fields.map(|field| Parameter { name: Arc::clone(&field.name), ty: field.ty.clone() }).collect()
    };
    Ok(Signature { name: name.into(), parameters, result: type_of(result, text)? })
}

/// Reads a type as the compiler does, as that of an input.
fn type_of(ty: &str, signature: &str) -> Result<Type, String> {
    let source = format!("in it: {ty}\nout it");
    let compilation = compile(&tokenize(&source), &FunctionTable::default());
    let Some(dag_spec) = &compilation.dag_spec else {
        let message = compilation.errors().next().map(|error| error.message.as_str()).unwrap_or_default();
        return Err(format!("'{ty}' in '{signature}' is no type: {message}"));
    };
    let types = dag_spec.validate().expect("the compiler makes well formed graphs");
    Ok(types[dag_spec.inputs[0].ty.index()].clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read_as_signatures_are_printed() {
        let signature =
            parse("shop.Price(sku: String, at: { day: Int, zone: Optional<String> }) -> List<Float>");
        let signature = signature.unwrap();
        assert_eq!(&*signature.name, "shop.Price");
        let printed: Vec<String> = signature
            .parameters
            .iter()
            .map(|parameter| format!("{}: {}", parameter.name, parameter.ty))
            .collect();
        assert_eq!(printed, ["sku: String", "at: { day: Int, zone: Optional<String> }"]);
        assert_eq!(signature.result, Type::list(Type::Float));
        assert_eq!(parse("Now() -> Int").unwrap().parameters, []);
    }

    #[test]
    fn what_is_no_signature_is_told_with_its_place() {
        for (text, message) in [
            ("Now", "'Now' is not written as 'Name(parameter: Type) -> Type'"),
            ("Now() Int", "'Now() Int' is not written as"),
            ("Get(id: Number) -> Int", "'{ id: Number }' in 'Get(id: Number) -> Int' is no type: "),
            ("Get(id: Int) -> ", "'' in 'Get(id: Int) ->' is no type: "),
        ] {
            let error = parse(text.trim()).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
