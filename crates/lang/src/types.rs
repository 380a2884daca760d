//! Types of a compilation, each kept once, so that comparing them is cheap.
//!
//! All work on types is counted, and past a bound the compilation is given up: programs can be written whose
//! types together are much larger than the program.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::mem;
use std::sync::Arc;

use constellation_types::{Field, MAX_TYPE_DEPTH, MAX_TYPE_SIZE, RecordType, Type, merge_types};
use hashbrown::{Equivalent, HashMap};

/// How many members a union has at most, so that comparing each with each is fast.
pub(crate) const MAX_UNION_MEMBERS: usize = 256;

/// How many fields, members and comparisons one compilation may go through. Real programs need thousands.
const MAX_WORK: u64 = 20_000_000;

/// A type of one compilation. Equal types, field and member order included, have equal handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ty(u32);

impl Ty {
    pub(crate) const NOTHING: Ty = Ty(0);
    pub(crate) const STRING: Ty = Ty(1);
    pub(crate) const INT: Ty = Ty(2);
    pub(crate) const FLOAT: Ty = Ty(3);
    pub(crate) const BOOLEAN: Ty = Ty(4);

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why a type cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TypeLimit {
    #[error("The type is too large: at most {MAX_TYPE_SIZE} parts and {MAX_TYPE_DEPTH} levels")]
    Size,
    #[error("The union has too many members: at most {MAX_UNION_MEMBERS}")]
    Members,
    #[error("The types of the program are too large to compare")]
    Work,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Shape {
    Nothing,
    String,
    Int,
    Float,
    Boolean,
    List(Ty),
    Seq(Ty),
    Optional(Ty),
    Map(Ty, Ty),
    Record(Box<[(Arc<str>, Ty)]>),
    Union(Box<[Ty]>),
    Function(Box<[Ty]>, Ty),
    Variable(Arc<str>),
}

/// The fields of a record, to look for its shape without making one.
struct RecordShape<'k>(&'k [(&'k str, Ty)]);

impl Hash for RecordShape<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        mem::discriminant(&Shape::Record(Box::default())).hash(state);
        self.0.hash(state);
    }
}

impl Equivalent<Shape> for RecordShape<'_> {
    fn equivalent(&self, shape: &Shape) -> bool {
        let Shape::Record(fields) = shape else { return false };
        fields.iter().map(|(name, ty)| (&**name, *ty)).eq(self.0.iter().copied())
    }
}

#[derive(Debug)]
struct Known {
    ty: Type,
    size: u64,
    depth: u32,
    has_function: bool,
    has_variable: bool,
    has_nothing: bool,
}

/// A type for a message, cut where it is longer than a line or two.
pub(crate) fn excerpt(ty: &Type) -> String {
    let mut out = Excerpt { text: String::new(), is_cut: false };
    // It fails exactly when the text is cut, so that the rest of a large type is not even printed.
    let _ = write!(out, "{ty}");
    if out.is_cut {
        out.text.push_str("...");
    }
    out.text
}

/// The start of a text.
struct Excerpt {
    text: String,
    is_cut: bool,
}

impl Write for Excerpt {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        const MAX_BYTES: usize = 300;
        // Type texts are ASCII, so that every byte is a place to cut.
        let room = MAX_BYTES - self.text.len();
        self.text.push_str(&part[..part.len().min(room)]);
        self.is_cut = part.len() > room;
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

#[derive(Debug)]
pub(crate) struct Types {
    known: Vec<Known>,
    by_shape: HashMap<Shape, Ty>,
    /// Records, unions and functions that were seen before, by address.
    by_address: HashMap<usize, Ty>,
    /// Keeps the addresses in `by_address` from being used again.
    kept: Vec<Type>,
    subtypes: HashMap<(Ty, Ty), bool>,
    bounds: HashMap<(Ty, Ty), Ty>,
    merges: HashMap<(Ty, Ty), Option<Ty>>,
    work: u64,
}

impl Types {
    pub(crate) fn new() -> Self {
        let mut types = Self {
            known: Vec::new(),
            by_shape: HashMap::new(),
            by_address: HashMap::new(),
            kept: Vec::new(),
            subtypes: HashMap::new(),
            bounds: HashMap::new(),
            merges: HashMap::new(),
            work: 0,
        };
        for ty in [Type::Nothing, Type::String, Type::Int, Type::Float, Type::Boolean] {
            types.intern(&ty).expect("a primitive type is within the bounds");
        }
        types
    }

    /// How many types there are. Handles are below it.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn get(&self, ty: Ty) -> &Type {
        &self.known[ty.index()].ty
    }

    pub(crate) fn has_function(&self, ty: Ty) -> bool {
        self.known[ty.index()].has_function
    }

    pub(crate) fn has_variable(&self, ty: Ty) -> bool {
        self.known[ty.index()].has_variable
    }

    /// Whether it is made with `[]`, so that a part of it is not known yet.
    pub(crate) fn has_nothing(&self, ty: Ty) -> bool {
        self.known[ty.index()].has_nothing
    }

    /// Whether the bound on work was passed. From then on every comparison holds, so that nothing misleading
    /// is reported.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.work > MAX_WORK
    }

    /// The type for a message, cut where it is longer than a line or two.
    pub(crate) fn text(&self, ty: Ty) -> String {
        excerpt(self.get(ty))
    }

    /// Counts work that is done on the fields of a record.
    pub(crate) fn charge(&mut self, n_fields: usize) {
        self.work = self.work.saturating_add(n_fields as u64);
    }

    pub(crate) fn intern(&mut self, ty: &Type) -> Result<Ty, TypeLimit> {
        let address = match ty {
            Type::Record(record) => Some(Arc::as_ptr(record).addr()),
            Type::Union(union) => Some(Arc::as_ptr(union).addr()),
            Type::Function(function) => Some(Arc::as_ptr(function).addr()),
            _ => None,
        };
        if let Some(known) = address.and_then(|address| self.by_address.get(&address)) {
            return Ok(*known);
        }
        let shape = match ty {
            Type::Nothing => Shape::Nothing,
            Type::String => Shape::String,
            Type::Int => Shape::Int,
            Type::Float => Shape::Float,
            Type::Boolean => Shape::Boolean,
            Type::List(element) => Shape::List(self.intern(element)?),
            Type::Seq(element) => Shape::Seq(self.intern(element)?),
            Type::Optional(inner) => Shape::Optional(self.intern(inner)?),
            Type::Map(key, value) => Shape::Map(self.intern(key)?, self.intern(value)?),
            Type::Record(record) => {
                self.spend(16 * record.fields().len() as u64)?;
                let mut fields = Vec::with_capacity(record.fields().len());
                for Field { name, ty } in record.fields() {
                    fields.push((Arc::clone(name), self.intern(ty)?));
                }
                Shape::Record(fields.into_boxed_slice())
            }
            Type::Union(union) => {
                if union.members().len() > MAX_UNION_MEMBERS {
                    return Err(TypeLimit::Members);
                }
                Shape::Union(self.intern_all(union.members())?)
            }
            Type::Function(function) => {
                Shape::Function(self.intern_all(&function.parameters)?, self.intern(&function.result)?)
            }
            Type::Variable(name) => Shape::Variable(Arc::clone(name)),
        };
        let known = self.intern_shape(shape, ty)?;
        if let Some(address) = address {
            self.by_address.insert(address, known);
            self.kept.push(ty.clone());
        }
        Ok(known)
    }

    fn intern_all(&mut self, types: &[Type]) -> Result<Box<[Ty]>, TypeLimit> {
        types.iter().map(|ty| self.intern(ty)).collect()
    }

    fn intern_shape(&mut self, shape: Shape, ty: &Type) -> Result<Ty, TypeLimit> {
        self.spend(1)?;
        if let Some(known) = self.by_shape.get(&shape) {
            return Ok(*known);
        }
        let mut size = 1_u64;
        let mut depth = 1_u32;
        let mut has_function = matches!(shape, Shape::Function(..));
        let mut has_variable = matches!(shape, Shape::Variable(_));
        let mut has_nothing = matches!(shape, Shape::Nothing);
        let mut part = |part: &Ty| {
            let part = &self.known[part.index()];
            size = size.saturating_add(part.size);
            depth = depth.max(part.depth + 1);
            has_function |= part.has_function;
            has_variable |= part.has_variable;
            has_nothing |= part.has_nothing;
        };
        match &shape {
            Shape::Nothing
            | Shape::String
            | Shape::Int
            | Shape::Float
            | Shape::Boolean
            | Shape::Variable(_) => {}
            Shape::List(inner) | Shape::Seq(inner) | Shape::Optional(inner) => part(inner),
            Shape::Map(key, value) => {
                part(key);
                part(value);
            }
            Shape::Record(fields) => fields.iter().for_each(|(_, ty)| part(ty)),
            Shape::Union(members) => members.iter().for_each(part),
            Shape::Function(parameters, result) => {
                parameters.iter().for_each(&mut part);
                part(result);
            }
        }
        if size > MAX_TYPE_SIZE || depth > MAX_TYPE_DEPTH {
            return Err(TypeLimit::Size);
        }
        let id = Ty(u32::try_from(self.known.len()).expect("the work on types is bounded"));
        self.known.push(Known { ty: ty.clone(), size, depth, has_function, has_variable, has_nothing });
        self.by_shape.insert(shape, id);
        Ok(id)
    }

    fn spend(&mut self, work: u64) -> Result<(), TypeLimit> {
        self.work = self.work.saturating_add(work);
        if self.is_exhausted() { Err(TypeLimit::Work) } else { Ok(()) }
    }

    /// The type of a shape that was seen before, so that it need not be made again.
    fn find<S: Hash + Equivalent<Shape>>(&self, shape: &S) -> Option<Ty> {
        self.by_shape.get(shape).copied()
    }

    pub(crate) fn list(&mut self, element: Ty) -> Result<Ty, TypeLimit> {
        if let Some(known) = self.find(&Shape::List(element)) {
            return Ok(known);
        }
        let ty = Type::list(self.get(element).clone());
        self.intern(&ty)
    }

    pub(crate) fn optional(&mut self, inner: Ty) -> Result<Ty, TypeLimit> {
        if let Some(known) = self.find(&Shape::Optional(inner)) {
            return Ok(known);
        }
        let ty = Type::optional(self.get(inner).clone());
        self.intern(&ty)
    }

    pub(crate) fn function(&mut self, parameters: &[Ty], result: Ty) -> Result<Ty, TypeLimit> {
        let parameters: Vec<Type> = parameters.iter().map(|ty| self.get(*ty).clone()).collect();
        let ty = Type::function(parameters, self.get(result).clone());
        self.intern(&ty)
    }

    pub(crate) fn record(&mut self, fields: &[(&str, Ty)]) -> Result<Ty, TypeLimit> {
        self.charge(fields.len());
        if let Some(known) = self.find(&RecordShape(fields)) {
            return Ok(known);
        }
        let fields =
            fields.iter().map(|(name, ty)| Field { name: (*name).into(), ty: self.get(*ty).clone() });
        let ty = Type::Record(Arc::new(RecordType::new(fields)));
        self.intern(&ty)
    }

    /// The union of some types, flat and each once.
    pub(crate) fn union(&mut self, members: &[Ty]) -> Result<Ty, TypeLimit> {
        let mut unique: Vec<Ty> = Vec::new();
        let mut size = 0;
        for member in members {
            let parts: Vec<Ty> = match self.get(*member).clone() {
                Type::Union(union) => self.intern_all(union.members())?.into_vec(),
                _ => vec![*member],
            };
            for part in parts {
                if !unique.contains(&part) {
                    unique.push(part);
                    size += self.known[part.index()].size;
                }
                self.spend(1 + unique.len() as u64)?;
                if unique.len() > MAX_UNION_MEMBERS {
                    return Err(TypeLimit::Members);
                }
            }
        }
        // Making the union compares each member with each.
        self.spend(size.saturating_mul(unique.len() as u64))?;
        let ty = Type::union(unique.iter().map(|member| self.get(*member).clone()));
        self.intern(&ty)
    }

    pub(crate) fn is_subtype(&mut self, lower: Ty, upper: Ty) -> bool {
        if lower == upper || lower == Ty::NOTHING {
            return true;
        }
        if let Some(known) = self.subtypes.get(&(lower, upper)) {
            return *known;
        }
        let (lower_type, upper_type) = (&self.known[lower.index()], &self.known[upper.index()]);
        let members = |ty: &Type| match ty {
            Type::Union(union) => union.members().len() as u64,
            _ => 1,
        };
        let work = (lower_type.size + upper_type.size)
            .saturating_mul(members(&lower_type.ty).min(members(&upper_type.ty)));
        if self.spend(work).is_err() {
            return true;
        }
        let answer = self.get(lower).is_subtype_of(self.get(upper));
        self.subtypes.insert((lower, upper), answer);
        answer
    }

    /// The higher of two related types, else their union.
    pub(crate) fn least_upper_bound(&mut self, left: Ty, right: Ty) -> Result<Ty, TypeLimit> {
        if self.is_subtype(left, right) {
            return Ok(right);
        }
        if self.is_subtype(right, left) {
            return Ok(left);
        }
        if let Some(known) = self.bounds.get(&(left, right)) {
            return Ok(*known);
        }
        let bound = self.union(&[left, right])?;
        self.bounds.insert((left, right), bound);
        Ok(bound)
    }

    /// The type of `left + right` on records; none when they cannot be merged.
    pub(crate) fn merge(&mut self, left: Ty, right: Ty) -> Result<Option<Ty>, TypeLimit> {
        if let Some(known) = self.merges.get(&(left, right)) {
            return Ok(*known);
        }
        let n_fields = |ty: &Type| {
            let record = ty.element().unwrap_or(ty).as_record();
            record.map_or(0, |record| record.fields().len() as u64)
        };
        self.spend(16 * (n_fields(self.get(left)) + n_fields(self.get(right))))?;
        let merged = match merge_types(self.get(left), self.get(right)) {
            Ok(merged) => Some(self.intern(&merged)?),
            Err(_) => None,
        };
        self.merges.insert((left, right), merged);
        Ok(merged)
    }

    /// The record type of a record, or of the elements of a list of records.
    pub(crate) fn record_within(&self, ty: Ty) -> Option<Arc<RecordType>> {
        let ty = self.get(ty);
        match ty.element().unwrap_or(ty) {
            Type::Record(record) => Some(Arc::clone(record)),
            _ => None,
        }
    }

    /// `element` in the place of the records of `shape`: itself for a record, a list of it for a list.
    pub(crate) fn in_place_of(&mut self, shape: Ty, element: Ty) -> Result<Ty, TypeLimit> {
        let element = self.get(element).clone();
        let ty = match self.get(shape) {
            Type::List(_) => Type::list(element),
            Type::Seq(_) => Type::seq(element),
            _ => element,
        };
        self.intern(&ty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_types_have_equal_handles() {
        let mut types = Types::new();
        let user = || Type::list(Type::record([("id", Type::Int), ("tags", Type::list(Type::String))]));
        assert_eq!(types.intern(&user()), types.intern(&user()));
        let ab = types.record(&[("a", Ty::INT), ("b", Ty::INT)]).unwrap();
        let ba = types.record(&[("b", Ty::INT), ("a", Ty::INT)]).unwrap();
        assert_ne!(ab, ba);
        for (known, names) in [(ab, ["a", "b"]), (ba, ["b", "a"])] {
            assert_eq!(types.record(&names.map(|name| (name, Ty::INT))), Ok(known));
            assert_eq!(types.intern(&Type::record(names.map(|name| (name, Type::Int)))), Ok(known));
        }
        assert_eq!(types.record(&[("a", Ty::INT), ("b", Ty::INT), ("a", Ty::INT)]), Ok(ab));
        assert_eq!(types.record(&[]), types.intern(&Type::record::<&str>([])));
        assert!(types.is_subtype(ab, ba) && types.is_subtype(ba, ab));
    }

    #[test]
    fn a_doubling_type_stops_at_the_bound() {
        let mut types = Types::new();
        let mut ty = Ty::INT;
        let limit = (0..40).find_map(|_| match types.record(&[("x", ty), ("y", ty)]) {
            Ok(next) => {
                ty = next;
                None
            }
            Err(limit) => Some(limit),
        });
        assert_eq!(limit, Some(TypeLimit::Size));
    }

    #[test]
    fn work_on_types_is_bounded() {
        let mut types = Types::new();
        let mut wide = types.record(&[("a", Ty::INT)]).unwrap();
        let mut limit = None;
        for index in 0..100_000 {
            let next = types.record(&[(&*format!("f{index}"), Ty::INT)]).unwrap_or(wide);
            match types.merge(wide, next) {
                Ok(merged) => wide = merged.unwrap(),
                Err(error) => {
                    limit = Some((index, error));
                    break;
                }
            }
        }
        assert_eq!(limit.map(|(_, error)| error), Some(TypeLimit::Work));
        assert!(types.is_exhausted() && types.is_subtype(Ty::INT, Ty::STRING));
    }

    #[test]
    fn a_union_is_flat_and_bounded() {
        let mut types = Types::new();
        let pair = types.union(&[Ty::INT, Ty::STRING]).unwrap();
        assert_eq!(types.union(&[pair, Ty::STRING, Ty::INT]), Ok(pair));
        let records: Vec<Ty> =
            (0..300).map(|index| types.record(&[(&*format!("f{index}"), Ty::INT)]).unwrap()).collect();
        assert_eq!(types.union(&records), Err(TypeLimit::Members));
    }
}
