//! Calls of whatever functions there are, found by the type of their result.

use constellation_lang::{TokenKind, tokenize};
use constellation_types::{FunctionSignature, FunctionType, Type};

use super::Generator;

type Bindings = Vec<(String, Type)>;

impl Generator<'_, '_> {
    /// A call that gives exactly this type.
    pub(super) fn call(&mut self, ty: &Type, depth: u32) -> Option<String> {
        let functions = self.functions;
        let mut candidates: Vec<(&FunctionSignature, Bindings)> = Vec::new();
        for signature in functions.signatures() {
            let mut bindings = Vec::new();
            if unify(&signature.result_type(), ty, &mut bindings) {
                candidates.push((signature, bindings));
            }
        }
        // A function of any type would be found for every type, and be most of what is called.
        if self.rng.u8(..4) > 0 {
            let is_generic = |(signature, _): &(&FunctionSignature, Bindings)| {
                matches!(signature.result_type(), Type::Variable(_))
            };
            if !candidates.iter().all(is_generic) {
                candidates.retain(|candidate| !is_generic(candidate));
            }
        }
        if candidates.is_empty() {
            return None;
        }
        let (signature, mut bindings) = self.pick(&candidates).clone();
        let mut arguments = Vec::new();
        for parameter in &signature.parameters {
            arguments.push(match &parameter.ty {
                Type::Function(function) => self.lambda(function, &mut bindings, depth),
                pattern => self.argument(pattern, &mut bindings, depth),
            });
        }
        let name = self.function_name(signature);
        let call = format!("{name}({})", arguments.join(", "));
        Some(self.with_options(&call, ty, depth))
    }

    fn argument(&mut self, pattern: &Type, bindings: &mut Bindings, depth: u32) -> String {
        let ty = self.instantiate(pattern, bindings);
        if ty == *pattern {
            return self.checked(&ty, depth);
        }
        // A list stands for a sequence, also where the element tells what a variable is.
        match (pattern, ty) {
            (Type::Seq(_), Type::Seq(element)) if self.rng.bool() => self.exact(&Type::List(element), depth),
            (_, ty) => self.exact(&ty, depth),
        }
    }

    fn lambda(&mut self, function: &FunctionType, bindings: &mut Bindings, depth: u32) -> String {
        let n_locals = self.locals.len();
        let mut parameters = Vec::new();
        for (index, pattern) in function.parameters.iter().enumerate() {
            let ty = self.instantiate(pattern, bindings);
            let name = match self.globals.last() {
                // It may hide a variable around, but not another parameter.
                Some((name, _)) if index == 0 && self.rng.u8(..3) == 0 => name.clone(),
                _ => format!("p{index}-{n_locals}"),
            };
            let annotation =
                if self.one_in(3) { format!(": {}", self.type_text(&ty)) } else { String::new() };
            parameters.push(format!("{name}{annotation}"));
            self.locals.push((name, ty));
        }
        let result = self.instantiate(&function.result, bindings);
        let body = self.exact(&result, depth);
        self.locals.truncate(n_locals);
        format!("({}) => {body}", parameters.join(", "))
    }

    /// A type of a signature; a variable that is not known yet becomes a simple type.
    fn instantiate(&mut self, pattern: &Type, bindings: &mut Bindings) -> Type {
        match pattern {
            Type::Variable(name) => {
                if let Some((_, ty)) = bindings.iter().find(|(known, _)| **known == **name) {
                    return ty.clone();
                }
                let ty = self.ty(1);
                bindings.push((name.to_string(), ty.clone()));
                ty
            }
            Type::List(inner) => Type::list(self.instantiate(inner, bindings)),
            Type::Seq(inner) => Type::seq(self.instantiate(inner, bindings)),
            Type::Optional(inner) => Type::optional(self.instantiate(inner, bindings)),
            Type::Map(key, value) => {
                Type::map(self.instantiate(key, bindings), self.instantiate(value, bindings))
            }
            Type::Record(record) => Type::record(
                record
                    .fields()
                    .iter()
                    .map(|field| (field.name.clone(), self.instantiate(&field.ty, bindings)))
                    .collect::<Vec<_>>(),
            ),
            other => other.clone(),
        }
    }

    /// A name that the function has here: in full, through an alias, or alone where nothing else is meant by it.
    fn function_name(&mut self, signature: &FunctionSignature) -> String {
        let Some(namespace) = &signature.namespace else { return signature.name.to_string() };
        let mut names = vec![signature.qualified_name()];
        for (alias, known) in &self.aliases {
            if **known == **namespace {
                names.push(format!("{alias}.{}", signature.name));
            }
        }
        let imports_nothing = self.wildcards.is_empty() && self.aliases.is_empty();
        let is_visible = |signature: &&FunctionSignature| match &signature.namespace {
            None => true,
            Some(namespace) => imports_nothing || self.wildcards.iter().any(|known| **known == **namespace),
        };
        let mut visible = self.functions.named(&signature.name).filter(is_visible);
        let is_alone = visible.next() == Some(signature) && visible.next().is_none();
        // A reserved word is a name only behind a dot.
        let is_name = tokenize(&signature.name).tokens()[0].kind == TokenKind::Identifier;
        if is_alone && is_name {
            names.push(signature.name.to_string());
        }
        self.pick(&names).clone()
    }

    fn with_options(&mut self, call: &str, ty: &Type, depth: u32) -> String {
        if self.rng.u8(..3) > 0 {
            return call.to_owned();
        }
        let unit = *self.pick(&["ms", "s", "min", "h", "d"]);
        let n = self.rng.u32(1..100);
        let mut options = vec![
            format!("retry: {}", self.rng.u8(..4)),
            format!("timeout: {n}min"),
            format!("delay: {n}ms"),
            format!("backoff: {}", self.pick(&["exponential", "linear", "fixed"])),
            format!("cache: {n}{unit}"),
            "cache_backend: \"memory\"".to_owned(),
            // A run ends before its deadline, so a token must not be long in coming.
            format!("throttle: {n}/{n}ms"),
            format!("concurrency: {n}"),
            format!("on_error: {}", self.pick(&["propagate", "skip", "log", "fail"])),
            self.pick(&["lazy", "lazy: true", "lazy: false"]).to_string(),
            format!("priority: {}", self.pick(&["high", "critical", "50", "-3", "200"])),
            format!("batch: {n}"),
            format!("batch_timeout: {n}{unit}"),
            format!("window: {}", self.pick(&["tumbling(1s)", "sliding(2s, 1s)", "count(3)"])),
            format!("checkpoint: {n}{unit}"),
            format!("join: {}", self.pick(&["combine_latest", "zip", "buffer(5ms)"])),
        ];
        self.rng.shuffle(&mut options);
        options.truncate(self.rng.usize(..4));
        if options.is_empty() || self.one_in(3) {
            options.push(format!("fallback: {}", self.exact(ty, depth)));
        }
        format!("({call} with {})", options.join(", "))
    }
}

/// Whether a signature's type can be this type, and what its variables stand for then.
fn unify(pattern: &Type, ty: &Type, bindings: &mut Bindings) -> bool {
    match (pattern, ty) {
        (Type::Variable(name), _) => {
            if let Some((_, known)) = bindings.iter().find(|(known, _)| **known == **name) {
                return known == ty;
            }
            bindings.push((name.to_string(), ty.clone()));
            true
        }
        (Type::List(pattern), Type::List(ty))
        | (Type::Seq(pattern), Type::Seq(ty))
        | (Type::Optional(pattern), Type::Optional(ty)) => unify(pattern, ty, bindings),
        (Type::Map(key, value), Type::Map(key_type, value_type)) => {
            unify(key, key_type, bindings) && unify(value, value_type, bindings)
        }
        _ => pattern == ty,
    }
}
