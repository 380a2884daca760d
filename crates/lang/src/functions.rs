//! The functions that a program can call, and how their names are found.

use std::collections::{BTreeMap, BTreeSet};

use constellation_store_core::{RegistryHash, SignatureHash};
use constellation_types::{FunctionSignature, Type};
use hashbrown::HashMap;

use crate::LOWERING_VERSION;
use crate::token::update_with_length;

/// The signatures of a registry, made once and used for every compilation.
#[derive(Debug, Clone, Default)]
pub struct FunctionTable {
    /// Sorted by full name, module and major version.
    signatures: Vec<FunctionSignature>,
    /// Of each of them; to hash one takes longer than to check and lower a call of it.
    signature_hashes: Vec<SignatureHash>,
    by_simple_name: HashMap<String, Named>,
    by_full_name: HashMap<String, Vec<usize>>,
    /// Every namespace that has a function; kept sorted for messages.
    namespaces: BTreeSet<String>,
    /// Every namespace and every dotted prefix of one.
    importable: BTreeSet<String>,
}

/// The functions of one simple name.
#[derive(Debug, Clone)]
struct Named {
    /// Their places among the signatures.
    functions: Vec<usize>,
    /// The hash of their signatures.
    hash: [u8; 32],
    /// How many simple names come before this one in the order of their text.
    rank: usize,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup<'a> {
    Found(usize),
    Missing,
    Ambiguous(&'a [usize]),
}

impl FunctionTable {
    /// A table of these signatures. Their order does not matter. Signatures are taken as they are; a registry
    /// checks them with [`FunctionSignature::check`].
    pub fn new(signatures: impl IntoIterator<Item = FunctionSignature>) -> Self {
        let mut signatures: Vec<FunctionSignature> = signatures.into_iter().collect();
        signatures.sort_by_cached_key(|signature| {
            (signature.qualified_name(), signature.module.clone(), signature.major)
        });
        let mut table = Self::default();
        let mut by_simple_name: BTreeMap<String, (Vec<usize>, blake3::Hasher)> = BTreeMap::new();
        for (index, signature) in signatures.iter().enumerate() {
            table.by_full_name.entry(signature.qualified_name()).or_default().push(index);
            if let Some(namespace) = &signature.namespace {
                table.namespaces.insert(namespace.to_string());
                let ends = namespace.match_indices('.').map(|(end, _)| end).chain([namespace.len()]);
                table.importable.extend(ends.map(|end| namespace[..end].to_owned()));
            }
            let (functions, hasher) = by_simple_name.entry(signature.name.to_string()).or_default();
            functions.push(index);
            hash_signature(hasher, signature);
        }
        let by_simple_name = by_simple_name.into_iter().enumerate();
        table.by_simple_name = by_simple_name
            .map(|(rank, (name, (functions, hasher)))| {
                (name, Named { functions, hash: *hasher.finalize().as_bytes(), rank })
            })
            .collect();
        table.signature_hashes = signatures.iter().map(SignatureHash::of).collect();
        table.signatures = signatures;
        table
    }

    /// All signatures, sorted by full name.
    pub fn signatures(&self) -> &[FunctionSignature] {
        &self.signatures
    }

    /// All namespaces that have a function, sorted.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.iter().map(String::as_str)
    }

    /// The signatures whose simple name is `name`, in whatever namespace.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &FunctionSignature> {
        self.indices_named(name).iter().map(|index| &self.signatures[*index])
    }

    /// Whether `namespace` can be imported: it, or one below it, has a function.
    pub fn is_importable(&self, namespace: &str) -> bool {
        self.importable.contains(namespace)
    }

    /// Whether `namespace` itself has a function.
    pub fn is_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains(namespace)
    }

    pub(crate) fn signature(&self, index: usize) -> &FunctionSignature {
        &self.signatures[index]
    }

    pub(crate) fn signature_hash(&self, index: usize) -> SignatureHash {
        self.signature_hashes[index]
    }

    pub(crate) fn indices_named(&self, name: &str) -> &[usize] {
        self.by_simple_name.get(name).map_or(&[], |named| named.functions.as_slice())
    }

    /// The simple names of all functions, sorted.
    pub(crate) fn simple_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.by_simple_name.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn find_full(&self, full_name: &str) -> Lookup<'_> {
        self.pick(self.by_full_name.get(full_name).map_or(&[], Vec::as_slice))
    }

    /// Chooses among the functions that a name can mean: of several versions of one module the newest.
    pub(crate) fn pick<'c>(&self, candidates: &'c [usize]) -> Lookup<'c> {
        let identity = |index: usize| {
            let signature = &self.signatures[index];
            (&signature.namespace, &signature.module)
        };
        match candidates {
            [] => Lookup::Missing,
            // Sorted, so that the last is the newest.
            [first, .., last] if identity(*first) != identity(*last) => Lookup::Ambiguous(candidates),
            [.., last] => Lookup::Found(*last),
        }
    }

    pub(crate) fn hash_of<'n>(&self, names: impl Iterator<Item = &'n str>) -> RegistryHash {
        let mut hasher = blake3::Hasher::new();
        update_with_length(&mut hasher, &LOWERING_VERSION.to_le_bytes());
        let mut occurring = vec![None; self.by_simple_name.len()];
        for (name, known) in names.filter_map(|name| self.by_simple_name.get_key_value(name)) {
            occurring[known.rank] = Some((name, known.hash));
        }
        for (name, hash) in occurring.into_iter().flatten() {
            update_with_length(&mut hasher, name.as_bytes());
            update_with_length(&mut hasher, &hash);
        }
        RegistryHash::from_bytes(*hasher.finalize().as_bytes())
    }
}

/// Everything of a signature that a lowering may depend on, the order of record fields and union members
/// included.
fn hash_signature(hasher: &mut blake3::Hasher, signature: &FunctionSignature) {
    // Destructured, so that a new field stops the build until someone decides whether it counts.
    let FunctionSignature { name, namespace, module, major, parameters, results } = signature;
    update_with_length(hasher, name.as_bytes());
    update_with_length(hasher, namespace.as_deref().unwrap_or_default().as_bytes());
    update_with_length(hasher, module.as_bytes());
    update_with_length(hasher, &major.to_le_bytes());
    for group in [parameters, results] {
        update_with_length(hasher, &(group.len() as u64).to_le_bytes());
        for parameter in group {
            update_with_length(hasher, parameter.name.as_bytes());
            let mut text = String::new();
            write_exact_type(&parameter.ty, &mut text);
            update_with_length(hasher, text.as_bytes());
        }
    }
}

/// A type's text with fields and members in their own order; the printed form sorts members.
fn write_exact_type(ty: &Type, out: &mut String) {
    fn list<'t>(out: &mut String, open: &str, parts: impl Iterator<Item = (&'t str, &'t Type)>, close: &str) {
        out.push_str(open);
        for (name, ty) in parts {
            out.push_str(name);
            out.push(':');
            write_exact_type(ty, out);
            out.push(',');
        }
        out.push_str(close);
    }
    match ty {
        Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean => {
            out.push_str(&ty.to_string());
        }
        Type::Variable(name) => {
            out.push('\'');
            out.push_str(name);
        }
        Type::List(element) => list(out, "List<", std::iter::once(("", &**element)), ">"),
        Type::Seq(element) => list(out, "Seq<", std::iter::once(("", &**element)), ">"),
        Type::Optional(inner) => list(out, "Optional<", std::iter::once(("", &**inner)), ">"),
        Type::Map(key, value) => list(out, "Map<", [("", &**key), ("", &**value)].into_iter(), ">"),
        Type::Record(record) => {
            list(out, "{", record.fields().iter().map(|field| (&*field.name, &field.ty)), "}");
        }
        Type::Union(union) => list(out, "Union<", union.members().iter().map(|member| ("", member)), ">"),
        Type::Function(function) => {
            list(out, "(", function.parameters.iter().map(|parameter| ("", parameter)), ")=>");
            write_exact_type(&function.result, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use constellation_types::Parameter;

    use super::*;
    use crate::tokenize;

    fn function(full_name: &str, parameter: Type) -> FunctionSignature {
        let (namespace, name) = match full_name.rsplit_once('.') {
            Some((namespace, name)) => (Some(namespace.into()), name),
            None => (None, full_name),
        };
        FunctionSignature {
            name: name.into(),
            namespace,
            module: full_name.into(),
            major: 1,
            parameters: vec![Parameter { name: "value".into(), ty: parameter }],
            results: vec![Parameter { name: "out".into(), ty: Type::Int }],
        }
    }

    #[test]
    fn only_functions_that_the_source_names_count() {
        let base = FunctionTable::new([function("a.f", Type::Int)]);
        let wider = FunctionTable::new([function("b.g", Type::Int), function("a.f", Type::Int)]);
        let changed = FunctionTable::new([function("a.f", Type::Float)]);
        let source = tokenize("in x: Int y = f(x) + 1 out y");
        assert_eq!(source.registry_hash(&base), source.registry_hash(&wider));
        assert_ne!(source.registry_hash(&base), source.registry_hash(&changed));
        let other = tokenize("in x: Int out x # f(x)");
        assert_eq!(other.registry_hash(&base), other.registry_hash(&changed));
    }

    #[test]
    fn operators_are_no_functions_and_qualified_reserved_words_are() {
        let base = FunctionTable::new([function("a.f", Type::Int)]);
        let wider = FunctionTable::new([function("b.and", Type::Int), function("a.f", Type::Int)]);
        let operator = tokenize("in x: Boolean y = x and x out y");
        assert_eq!(operator.registry_hash(&base), operator.registry_hash(&wider));
        let call = tokenize("in x: Boolean y = b.and(x) out y");
        assert_ne!(call.registry_hash(&base), call.registry_hash(&wider));
    }

    #[test]
    fn of_several_versions_of_a_module_the_newest_is_meant() {
        let newer = FunctionSignature { major: 2, ..function("a.f", Type::Int) };
        let other = FunctionSignature { module: "other".into(), ..function("a.f", Type::Int) };
        let table = FunctionTable::new([newer, function("a.f", Type::Int)]);
        assert_eq!(table.find_full("a.f"), Lookup::Found(1));
        assert_eq!(table.signature(1).major, 2);
        let table = FunctionTable::new([other, function("a.f", Type::Int)]);
        assert_eq!(table.find_full("a.f"), Lookup::Ambiguous(&[0, 1]));
    }

    #[test]
    fn the_order_of_fields_and_members_counts() {
        let ab = [("a", Type::Int), ("b", Type::Int)];
        let ba = [("b", Type::Int), ("a", Type::Int)];
        let hash = |ty: Type| tokenize("f").registry_hash(&FunctionTable::new([function("f", ty)]));
        assert_ne!(hash(Type::record(ab)), hash(Type::record(ba)));
        let union = |members: [Type; 2]| hash(Type::union(members));
        assert_ne!(union([Type::Int, Type::String]), union([Type::String, Type::Int]));
    }

    #[test]
    fn prefixes_of_namespaces_can_be_imported() {
        let table = FunctionTable::new([function("std.math.f", Type::Int)]);
        assert!(table.is_importable("std") && table.is_importable("std.math"));
        assert!(!table.is_importable("std.m") && !table.is_namespace("std"));
        assert_eq!(table.find_full("std.math.f"), Lookup::Found(0));
        assert_eq!(table.find_full("f"), Lookup::Missing);
    }
}
