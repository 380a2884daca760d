//! The modules that pipelines can call, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use constellation_types::{FunctionSignature, SignatureError, Type};

use crate::Module;

/// Why a module cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Its signature cannot be used.
    #[error("module '{module}' cannot be registered: {source}")]
    Signature {
        /// The name of the module.
        module: Arc<str>,
        /// What is wrong.
        source: SignatureError,
    },
    /// A result's type has a type variable that no parameter has, so that no call says what it stands for.
    #[error(
        "module '{module}' cannot be registered: the result '{result}' has the type variable '{variable}', which \
         no parameter has"
    )]
    UnboundVariable {
        /// The name of the module.
        module: Arc<str>,
        /// The name of the result.
        result: Arc<str>,
        /// The name of the type variable.
        variable: Arc<str>,
    },
    /// It is published, and no client could say what to give it.
    #[error(
        "module '{module}' cannot be registered: it is published, and its parameter '{parameter}' has the type {ty}, of \
         which there are no values in a request; take `published` away"
    )]
    Unpublishable {
        /// The name of the module.
        module: Arc<str>,
        /// The name of the parameter.
        parameter: Arc<str>,
        /// Its type, a function or one with a type variable.
        ty: Type,
    },
    /// A module of this name is registered already.
    #[error("module '{module}' is registered already; give one of the two another name")]
    DuplicateModule {
        /// The name of both modules.
        module: Arc<str>,
    },
    /// A function of this name is registered already, by another module.
    #[error("module '{module}' cannot be registered: the function '{function}' is that of module '{other}'")]
    DuplicateFunction {
        /// The name of the module refused.
        module: Arc<str>,
        /// The function's name with its namespace.
        function: String,
        /// The name of the module that has it.
        other: Arc<str>,
    },
}

/// Modules by name. Clones share what they hold until one of them is changed.
#[derive(Debug, Clone, Default)]
pub struct ModuleRegistry {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone, Default)]
struct Inner {
    modules: BTreeMap<Arc<str>, Arc<dyn Module>>,
    /// The module behind each qualified function name.
    functions: BTreeMap<String, Arc<str>>,
}

impl ModuleRegistry {
    /// A registry without modules.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a module.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] when its signature cannot be used, or its name or its function's name is taken. Nothing is
    /// changed then.
    pub fn register(&mut self, module: impl Module) -> Result<(), RegistryError> {
        self.register_shared(Arc::new(module))
    }

    /// Adds a module that others hold too.
    ///
    /// # Errors
    ///
    /// As [`ModuleRegistry::register`].
    pub fn register_shared(&mut self, module: Arc<dyn Module>) -> Result<(), RegistryError> {
        let spec = module.spec();
        let signature = &spec.signature;
        let name = Arc::clone(&signature.module);
        signature.check().map_err(|source| RegistryError::Signature { module: Arc::clone(&name), source })?;
        check_variables(signature)?;
        if spec.published {
            check_publishable(signature)?;
        }
        if self.inner.modules.contains_key(&name) {
            return Err(RegistryError::DuplicateModule { module: name });
        }
        let function = signature.qualified_name();
        if let Some(other) = self.inner.functions.get(&function) {
            return Err(RegistryError::DuplicateFunction {
                module: name,
                function,
                other: Arc::clone(other),
            });
        }
        let inner = Arc::make_mut(&mut self.inner);
        inner.functions.insert(function, Arc::clone(&name));
        inner.modules.insert(name, module);
        Ok(())
    }

    /// The module `name`.
    pub fn get(&self, name: &str) -> Option<Arc<dyn Module>> {
        self.inner.modules.get(name).cloned()
    }

    /// All modules, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<dyn Module>> {
        self.inner.modules.values()
    }

    /// The signatures of all modules, sorted by module name: what a compiler is given.
    pub fn signatures(&self) -> impl ExactSizeIterator<Item = &FunctionSignature> {
        self.iter().map(|module| &module.spec().signature)
    }

    /// How many modules there are.
    pub fn len(&self) -> usize {
        self.inner.modules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inner.modules.is_empty()
    }
}

/// Results have no type variables that parameters do not have, and no functions at all.
fn check_publishable(signature: &FunctionSignature) -> Result<(), RegistryError> {
    let is_no_data = |ty: &Type| {
        let mut variables = BTreeSet::new();
        collect_variables(ty, &mut variables);
        ty.has_function() || !variables.is_empty()
    };
    match signature.parameters.iter().find(|parameter| is_no_data(&parameter.ty)) {
        Some(parameter) => Err(RegistryError::Unpublishable {
            module: Arc::clone(&signature.module),
            parameter: Arc::clone(&parameter.name),
            ty: parameter.ty.clone(),
        }),
        None => Ok(()),
    }
}

fn check_variables(signature: &FunctionSignature) -> Result<(), RegistryError> {
    let mut bound = BTreeSet::new();
    for parameter in &signature.parameters {
        collect_variables(&parameter.ty, &mut bound);
    }
    for result in &signature.results {
        let mut used = BTreeSet::new();
        collect_variables(&result.ty, &mut used);
        if let Some(variable) = used.difference(&bound).next() {
            return Err(RegistryError::UnboundVariable {
                module: Arc::clone(&signature.module),
                result: Arc::clone(&result.name),
                variable: Arc::clone(variable),
            });
        }
    }
    Ok(())
}

/// Adds the type variables of `ty`, whose bounds are checked, so that the recursion is shallow.
fn collect_variables<'t>(ty: &'t Type, variables: &mut BTreeSet<&'t Arc<str>>) {
    match ty {
        Type::Variable(name) => {
            variables.insert(name);
        }
        Type::Nothing | Type::String | Type::Int | Type::Float | Type::Boolean => {}
        Type::List(inner) | Type::Seq(inner) | Type::Optional(inner) => collect_variables(inner, variables),
        Type::Map(key, value) => {
            collect_variables(key, variables);
            collect_variables(value, variables);
        }
        Type::Record(record) => {
            for field in record.fields() {
                collect_variables(&field.ty, variables);
            }
        }
        Type::Union(union) => {
            for member in union.members() {
                collect_variables(member, variables);
            }
        }
        Type::Function(function) => {
            for parameter in &function.parameters {
                collect_variables(parameter, variables);
            }
            collect_variables(&function.result, variables);
        }
    }
}
