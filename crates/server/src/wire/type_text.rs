//! Types as the reference API prints them: `CInt`, `CProduct(Map(a -> CInt))`.

use constellation_types::{Field, Type};

/// The text of a type. The reference prints records of five and more fields in hash order; here they keep the
/// order of declaration.
pub(crate) fn type_text(ty: &Type) -> String {
    let mut text = String::new();
    write_type(ty, &mut text);
    text
}

// A type is at most `MAX_TYPE_DEPTH` levels deep.
fn write_type(ty: &Type, out: &mut String) {
    match ty {
        Type::Nothing => out.push_str("CNothing"),
        Type::String => out.push_str("CString"),
        Type::Int => out.push_str("CInt"),
        Type::Float => out.push_str("CFloat"),
        Type::Boolean => out.push_str("CBoolean"),
        Type::List(element) => write_wrapped("CList(", element, out),
        Type::Seq(element) => write_wrapped("CSeq(", element, out),
        Type::Optional(inner) => write_wrapped("COptional(", inner, out),
        Type::Map(key, value) => {
            write_wrapped("CMap(", key, out);
            out.pop();
            out.push(',');
            write_type(value, out);
            out.push(')');
        }
        Type::Record(record) => {
            let entries = record.fields().iter().map(|Field { name, ty }| (name.to_string(), ty));
            write_entries("CProduct(Map(", entries, out);
        }
        Type::Union(union) => {
            let entries = union.members().iter().map(|member| (member.to_string(), member));
            write_entries("CUnion(Map(", entries, out);
        }
        // Neither is the type of an input, an output or a module's parameter that a client can give.
        Type::Function(_) | Type::Variable(_) => out.push_str(&ty.to_string()),
    }
}

fn write_wrapped(open: &str, inner: &Type, out: &mut String) {
    out.push_str(open);
    write_type(inner, out);
    out.push(')');
}

fn write_entries<'t>(open: &str, entries: impl Iterator<Item = (String, &'t Type)>, out: &mut String) {
    out.push_str(open);
    for (index, (name, ty)) in entries.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        out.push_str(&name);
        out.push_str(" -> ");
        write_type(ty, out);
    }
    out.push_str("))");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_print_as_in_the_reference() {
        let product = Type::record([("a", Type::Int), ("b", Type::list(Type::String))]);
        for (ty, text) in [
            (Type::String, "CString"),
            (Type::seq(Type::Float), "CSeq(CFloat)"),
            (Type::optional(Type::Boolean), "COptional(CBoolean)"),
            (Type::map(Type::String, Type::optional(Type::Int)), "CMap(CString,COptional(CInt))"),
            (product.clone(), "CProduct(Map(a -> CInt, b -> CList(CString)))"),
            (Type::record::<&str>([]), "CProduct(Map())"),
            (Type::list(product), "CList(CProduct(Map(a -> CInt, b -> CList(CString))))"),
            (Type::union([Type::String, Type::Int]), "CUnion(Map(String -> CString, Int -> CInt))"),
        ] {
            assert_eq!(type_text(&ty), text);
        }
    }
}
