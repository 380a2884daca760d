//! Signatures of the functions that source text can call.

use std::fmt;
use std::sync::Arc;

use crate::{InvalidIdentifier, Type, TypeTooLarge, check_identifier};

/// A parameter of a function, or one of its results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, an identifier.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
}

/// What the compiler knows of a module: how source text calls it, and what it takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSignature {
    /// The name that a program calls, such as `add`.
    pub name: Arc<str>,
    /// The namespace it is imported from, such as `stdlib.math`; none for a function that is always in scope.
    pub namespace: Option<Arc<str>>,
    /// The name of the module that implements it, unique in a registry; it is what an image records.
    pub module: Arc<str>,
    /// The major version of that module. Another major version is another contract.
    pub major: u32,
    /// The parameters, in the order of arguments.
    pub parameters: Vec<Parameter>,
    /// The results, at least one. A call has the type of a single result, or of a record of several.
    pub results: Vec<Parameter>,
}

/// Why a signature is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A name in it cannot be spelled in source text.
    #[error(transparent)]
    Identifier(#[from] InvalidIdentifier),
    /// Two parameters or two results have the same name.
    #[error("'{name}' is declared twice")]
    Duplicate {
        /// The repeated name.
        name: Arc<str>,
    },
    /// It has no result.
    #[error("a function has at least one result")]
    NoResult,
    /// A type in it is past the bounds.
    #[error(transparent)]
    Bounds(#[from] TypeTooLarge),
    /// A function stands where only data can.
    #[error(
        "'{name}' has the type {ty}, with a function where data is expected: only a parameter as a whole can be a \
         function, of data to data"
    )]
    MisplacedFunction {
        /// The parameter or result.
        name: Arc<str>,
        /// Its type.
        ty: Type,
    },
}

impl FunctionSignature {
    /// `namespace.name`, or the name alone.
    pub fn qualified_name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}.{}", self.name),
            None => self.name.to_string(),
        }
    }

    /// The type of a call: the result's, or a record of the results when there are several.
    pub fn result_type(&self) -> Type {
        match &*self.results {
            [result] => result.ty.clone(),
            results => {
                Type::record(results.iter().map(|result| (Arc::clone(&result.name), result.ty.clone())))
            }
        }
    }

    /// Checks what a registry relies on: names that can be spelled, each once, at least one result, types within
    /// bounds, and functions nowhere but as parameters.
    ///
    /// # Errors
    ///
    /// The first [`SignatureError`].
    pub fn check(&self) -> Result<(), SignatureError> {
        check_identifier(&self.name)?;
        for segment in self.namespace.iter().flat_map(|namespace| namespace.split('.')) {
            check_identifier(segment)?;
        }
        for segment in self.module.split('.') {
            check_identifier(segment)?;
        }
        if self.results.is_empty() {
            return Err(SignatureError::NoResult);
        }
        for group in [&self.parameters, &self.results] {
            for (index, parameter) in group.iter().enumerate() {
                check_identifier(&parameter.name)?;
                if group[..index].iter().any(|earlier| earlier.name == parameter.name) {
                    return Err(SignatureError::Duplicate { name: Arc::clone(&parameter.name) });
                }
                parameter.ty.check_bounds()?;
            }
        }
        let parameters = self.parameters.iter().filter(|parameter| match &parameter.ty {
            Type::Function(function) => {
                function.parameters.iter().any(Type::has_function) || function.result.has_function()
            }
            ty => ty.has_function(),
        });
        let results = self.results.iter().filter(|result| result.ty.has_function());
        match parameters.chain(results).next() {
            Some(Parameter { name, ty }) => {
                Err(SignatureError::MisplacedFunction { name: Arc::clone(name), ty: ty.clone() })
            }
            None => Ok(()),
        }
    }
}

/// `name(a: Int, b: Int) -> Int`
impl fmt::Display for FunctionSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.qualified_name())?;
        for (index, parameter) in self.parameters.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}: {}", parameter.name, parameter.ty)?;
        }
        write!(f, ") -> {}", self.result_type())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add() -> FunctionSignature {
        let int = |name: &str| Parameter { name: name.into(), ty: Type::Int };
        FunctionSignature {
            name: "add".into(),
            namespace: Some("stdlib.math".into()),
            module: "stdlib.add".into(),
            major: 1,
            parameters: vec![int("a"), int("b")],
            results: vec![int("out")],
        }
    }

    #[test]
    fn prints_as_a_declaration() {
        assert_eq!(add().to_string(), "stdlib.math.add(a: Int, b: Int) -> Int");
        assert!(add().check().is_ok());
    }

    #[test]
    fn a_name_that_cannot_be_spelled_is_refused() {
        let mut signature = add();
        signature.parameters[0].name = "first name".into();
        assert!(matches!(signature.check(), Err(SignatureError::Identifier(_))));
        signature.parameters[0].name = "b".into();
        assert!(matches!(signature.check(), Err(SignatureError::Duplicate { .. })));
        signature.results.clear();
        assert_eq!(signature.check(), Err(SignatureError::NoResult));
    }

    #[test]
    fn a_function_is_a_parameter_or_nothing() {
        let with = |parameter: Type, result: Type| {
            let mut signature = add();
            signature.parameters[0].ty = parameter;
            signature.results[0].ty = result;
            signature.check()
        };
        let function = || Type::function([Type::Int], Type::Boolean);
        assert_eq!(with(function(), Type::Int), Ok(()));
        for (parameter, result) in [
            (Type::list(function()), Type::Int),
            (Type::function([function()], Type::Int), Type::Int),
            (Type::function([Type::Int], Type::optional(function())), Type::Int),
            (Type::Int, Type::record([("f", function())])),
            (function(), function()),
        ] {
            let error = with(parameter, result).unwrap_err();
            assert!(matches!(error, SignatureError::MisplacedFunction { .. }), "{error}");
        }
    }

    #[test]
    fn several_results_make_a_record() {
        let mut signature = add();
        signature.results.push(Parameter { name: "carry".into(), ty: Type::Boolean });
        assert_eq!(signature.result_type().to_string(), "{ out: Int, carry: Boolean }");
    }
}
