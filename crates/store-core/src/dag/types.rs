//! The type table of a graph.

use std::collections::HashMap;
use std::sync::Arc;

use constellation_types::{
    FunctionType, MAX_TYPE_DEPTH, MAX_TYPE_SIZE, RecordType, Type, UnionType, is_identifier,
};
use serde::{Deserialize, Serialize};

use super::TypeIndex;
use super::validate::{FEW, InvalidDag, first_repeated};

/// A type whose parts are in the same table, at smaller indices.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum TypeSpec {
    /// The type of the elements of `[]`.
    Nothing,
    /// `String`
    String,
    /// `Int`
    Int,
    /// `Float`
    Float,
    /// `Boolean`
    Boolean,
    /// `List<T>`
    List(TypeIndex),
    /// `Seq<T>`
    Seq(TypeIndex),
    /// `Optional<T>`
    Optional(TypeIndex),
    /// `Map<K, V>`
    Map {
        /// The type of the keys.
        key: TypeIndex,
        /// The type of the values.
        value: TypeIndex,
    },
    /// `{ a: T, ... }`, in declaration order.
    Record(Vec<FieldSpec>),
    /// `A | B`, in declaration order.
    Union(Vec<TypeIndex>),
    /// `(A, B) => C`
    Function {
        /// The types of the parameters.
        parameters: Vec<TypeIndex>,
        /// The type of the body.
        result: TypeIndex,
    },
}

/// A field of a [`TypeSpec::Record`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldSpec {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: TypeIndex,
}

/// Builds the type table of a graph: gives each type its index at first use.
#[derive(Debug, Default)]
pub struct TypeTable {
    types: Vec<TypeSpec>,
    indices: HashMap<TypeSpec, TypeIndex>,
    // Types share their parts; without this, a type that doubles forty times would be walked as a tree. The
    // `Arc` keeps the address from being used again.
    records: HashMap<*const RecordType, (Arc<RecordType>, TypeIndex)>,
    unions: HashMap<*const UnionType, (Arc<UnionType>, TypeIndex)>,
}

impl TypeTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The index of `ty`, which is entered with its parts if it is new.
    ///
    /// # Panics
    ///
    /// When `ty` has a type variable: a graph has only instances of generic signatures.
    pub fn index_of(&mut self, ty: &Type) -> TypeIndex {
        let spec = match ty {
            Type::Nothing => TypeSpec::Nothing,
            Type::String => TypeSpec::String,
            Type::Int => TypeSpec::Int,
            Type::Float => TypeSpec::Float,
            Type::Boolean => TypeSpec::Boolean,
            Type::List(element) => TypeSpec::List(self.index_of(element)),
            Type::Seq(element) => TypeSpec::Seq(self.index_of(element)),
            Type::Optional(inner) => TypeSpec::Optional(self.index_of(inner)),
            Type::Map(key, value) => TypeSpec::Map { key: self.index_of(key), value: self.index_of(value) },
            Type::Record(record) => {
                if let Some((_, index)) = self.records.get(&Arc::as_ptr(record)) {
                    return *index;
                }
                let fields = record
                    .fields()
                    .iter()
                    .map(|field| FieldSpec { name: field.name.to_string(), ty: self.index_of(&field.ty) })
                    .collect();
                let index = self.intern(TypeSpec::Record(fields));
                self.records.insert(Arc::as_ptr(record), (Arc::clone(record), index));
                return index;
            }
            Type::Union(union) => {
                if let Some((_, index)) = self.unions.get(&Arc::as_ptr(union)) {
                    return *index;
                }
                let members = union.members().iter().map(|member| self.index_of(member)).collect();
                let index = self.intern(TypeSpec::Union(members));
                self.unions.insert(Arc::as_ptr(union), (Arc::clone(union), index));
                return index;
            }
            Type::Function(function) => {
                let FunctionType { parameters, result } = &**function;
                let parameters = parameters.iter().map(|parameter| self.index_of(parameter)).collect();
                TypeSpec::Function { parameters, result: self.index_of(result) }
            }
            Type::Variable(name) => panic!("the type variable {name} was not instantiated"),
        };
        self.intern(spec)
    }

    /// The table.
    pub fn into_types(self) -> Vec<TypeSpec> {
        self.types
    }

    fn intern(&mut self, spec: TypeSpec) -> TypeIndex {
        let types = &mut self.types;
        *self.indices.entry(spec).or_insert_with_key(|spec| {
            types.push(spec.clone());
            TypeIndex(u32::try_from(types.len() - 1).expect("a source of 1 MiB has fewer types"))
        })
    }
}

/// The entries of a type table that came before.
#[derive(Default)]
struct Seen<'a>(HashMap<&'a TypeSpec, usize>);

impl<'a> Seen<'a> {
    /// The first one that is the same, among those `before` it. Few are compared, which takes less than to hash one.
    fn insert(&mut self, before: &'a [TypeSpec], spec: &'a TypeSpec) -> Option<usize> {
        if before.len() < FEW {
            return before.iter().position(|known| known == spec);
        }
        if before.len() == FEW {
            self.0.extend(before.iter().enumerate().map(|(index, known)| (known, index)));
        }
        self.0.insert(spec, before.len())
    }
}

/// The types of a table, in its order.
pub(super) fn resolve(specs: &[TypeSpec]) -> Result<Vec<Type>, InvalidDag> {
    let mut types: Vec<Type> = Vec::with_capacity(specs.len());
    // Size as a tree and depth, known before the type is built: its parts are older.
    let mut measures: Vec<(u64, u32)> = Vec::with_capacity(specs.len());
    let mut seen = Seen::default();
    for (index, spec) in specs.iter().enumerate() {
        let invalid = |message: String| InvalidDag { place: format!("types[{index}]"), message };
        if let Some(first) = seen.insert(&specs[..index], spec) {
            return Err(invalid(format!("is the same as types[{first}]")));
        }
        let mut measure = (1_u64, 1_u32);
        let mut part = |part: &TypeIndex| {
            let ty = types.get(part.index()).ok_or_else(|| {
                invalid(format!("refers to types[{}], which does not come before it", part.0))
            })?;
            let (size, depth) = measures[part.index()];
            measure = (measure.0.saturating_add(size), measure.1.max(depth.saturating_add(1)));
            if measure.0 > MAX_TYPE_SIZE || measure.1 > MAX_TYPE_DEPTH {
                return Err(invalid(format!("is past {MAX_TYPE_SIZE} parts or {MAX_TYPE_DEPTH} levels")));
            }
            Ok(ty.clone())
        };
        let ty = match spec {
            TypeSpec::Nothing => Type::Nothing,
            TypeSpec::String => Type::String,
            TypeSpec::Int => Type::Int,
            TypeSpec::Float => Type::Float,
            TypeSpec::Boolean => Type::Boolean,
            TypeSpec::List(element) => Type::list(part(element)?),
            TypeSpec::Seq(element) => Type::seq(part(element)?),
            TypeSpec::Optional(inner) => Type::optional(part(inner)?),
            TypeSpec::Map { key, value } => Type::map(part(key)?, part(value)?),
            TypeSpec::Record(fields) => {
                let mut parts = Vec::with_capacity(fields.len());
                let mut names = fields.iter().map(|field| field.name.as_str());
                let repeated = first_repeated(names.clone());
                if let Some(name) = names.find(|name| !is_identifier(name)).or(repeated) {
                    return Err(invalid(format!("has a field '{name}' twice, or not an identifier")));
                }
                for FieldSpec { name, ty } in fields {
                    parts.push((name.as_str(), part(ty)?));
                }
                Type::record(parts)
            }
            TypeSpec::Union(members) => {
                let parts = members.iter().map(&mut part).collect::<Result<Vec<_>, _>>()?;
                // `Type::union` compares each pair of members.
                if parts.len() > MAX_UNION_MEMBERS {
                    return Err(invalid(format!("has more than {MAX_UNION_MEMBERS} members")));
                }
                match Type::union(parts) {
                    Type::Union(union) if union.members().len() == members.len() => Type::Union(union),
                    _ => return Err(invalid("is not a union of two or more different members".into())),
                }
            }
            TypeSpec::Function { parameters, result } => {
                let parameters = parameters.iter().map(&mut part).collect::<Result<Vec<_>, _>>()?;
                Type::function(parameters, part(result)?)
            }
        };
        types.push(ty);
        measures.push(measure);
    }
    Ok(types)
}

/// Members of a union in an image; they are compared with one another.
const MAX_UNION_MEMBERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_came_before_is_told_however_long_the_table_is() {
        for length in 1..40 {
            let lists = (1..length).map(|index| TypeSpec::List(TypeIndex(index - 1)));
            let specs: Vec<_> = std::iter::once(TypeSpec::Int).chain(lists).collect();
            assert_eq!(resolve(&specs).unwrap().len(), specs.len());
            for (first, spec) in specs.iter().enumerate() {
                let error = resolve(&[&specs[..], std::slice::from_ref(spec)].concat()).unwrap_err();
                let expected = (format!("types[{length}]"), format!("is the same as types[{first}]"));
                assert_eq!((error.place, error.message), expected);
            }
        }
    }

    #[test]
    fn a_doubling_type_has_one_entry_a_level() {
        let mut ty = Type::Int;
        for _ in 0..16 {
            ty = Type::record([("x", ty.clone()), ("y", ty)]);
        }
        let mut table = TypeTable::new();
        assert_eq!(table.index_of(&ty), TypeIndex(16));
        let specs = table.into_types();
        assert_eq!(specs.len(), 17);
        assert!(resolve(&specs).is_err(), "2^17 parts are past the bound");
        assert!(resolve(&specs[..15]).is_ok());
    }

    #[test]
    fn types_read_back_from_their_table() {
        let user = Type::record([("id", Type::Int), ("tags", Type::list(Type::String))]);
        let all = [
            Type::map(Type::String, user.clone()),
            Type::union([user.clone(), Type::optional(Type::Float)]),
            Type::function([user.clone(), Type::Boolean], Type::seq(Type::Nothing)),
        ];
        let mut table = TypeTable::new();
        let indices: Vec<_> = all.iter().map(|ty| table.index_of(ty)).collect();
        let types = resolve(&table.into_types()).unwrap();
        for (ty, index) in all.iter().zip(indices) {
            assert_eq!(types[index.index()], *ty);
        }
    }

    #[test]
    fn a_bad_table_is_refused_with_its_place() {
        let field = |name: &str, ty| FieldSpec { name: name.into(), ty: TypeIndex(ty) };
        let cases = [
            (vec![TypeSpec::List(TypeIndex(0))], "does not come before"),
            (vec![TypeSpec::Int, TypeSpec::Int], "is the same as types[0]"),
            (vec![TypeSpec::Int, TypeSpec::Record(vec![field("a", 0), field("a", 0)])], "'a' twice"),
            (vec![TypeSpec::Int, TypeSpec::Record(vec![field("a b", 0)])], "not an identifier"),
            (vec![TypeSpec::Int, TypeSpec::Union(vec![TypeIndex(0), TypeIndex(0)])], "different members"),
            (
                vec![
                    TypeSpec::Int,
                    TypeSpec::String,
                    TypeSpec::Union(vec![TypeIndex(0), TypeIndex(1), TypeIndex(0)]),
                ],
                "different members",
            ),
        ];
        for (specs, message) in cases {
            let error = resolve(&specs).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn types_are_bounded_in_depth_size_and_members() {
        let nested = |levels: u32| -> Vec<_> {
            std::iter::once(TypeSpec::Int)
                .chain((0..levels - 1).map(|index| TypeSpec::List(TypeIndex(index))))
                .collect()
        };
        assert!(resolve(&nested(MAX_TYPE_DEPTH)).is_ok());
        assert!(resolve(&nested(MAX_TYPE_DEPTH + 1)).unwrap_err().to_string().contains("256 levels"));

        // The function itself and its result count, too.
        let wide = |parts: u64| {
            let parameters = (2..parts).map(|_| TypeIndex(0)).collect();
            vec![TypeSpec::Int, TypeSpec::Function { parameters, result: TypeIndex(0) }]
        };
        assert!(resolve(&wide(MAX_TYPE_SIZE)).is_ok());
        assert!(resolve(&wide(MAX_TYPE_SIZE + 1)).unwrap_err().to_string().contains("100000 parts"));

        let union = |members: usize| {
            let indices = (0..members).map(|index| TypeIndex(u32::try_from(index).unwrap()));
            let field = |index: TypeIndex| FieldSpec { name: format!("f{}", index.0), ty: TypeIndex(0) };
            let records = indices.clone().skip(1).map(|index| TypeSpec::Record(vec![field(index)]));
            let union = TypeSpec::Union(indices.collect());
            std::iter::once(TypeSpec::Int).chain(records).chain([union]).collect::<Vec<_>>()
        };
        assert!(resolve(&union(MAX_UNION_MEMBERS)).is_ok());
        assert!(resolve(&union(MAX_UNION_MEMBERS + 1)).unwrap_err().to_string().contains("256 members"));
    }
}
