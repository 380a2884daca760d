//! Calls of modules: arguments against signatures, and options.

use std::sync::Arc;
use std::time::Duration;

use constellation_store_core::{Argument, Backoff, CallOptions, NodeIndex, OnError};
use constellation_types::{FunctionSignature, Type, Value};

use super::{Loader, Refusal, refuse};
use crate::relations::{Instance, fits, is_generic};
use crate::requires::Required;
use crate::{CachePolicy, LoadedCall, LoadedLambda, Operation, Recovery, RetryPolicy};

/// The priority of a call that has none.
const NORMAL_PRIORITY: u8 = 50;

/// The arguments of a call, each kind in the order of the signature.
struct Arguments {
    values: Box<[NodeIndex]>,
    functions: Box<[Arc<LoadedLambda>]>,
}

impl<'a> Loader<'a> {
    pub(super) fn call(
        &mut self,
        module: &str,
        major: u32,
        arguments: &'a [Argument],
        options: &CallOptions,
        ty: &'a Type,
    ) -> Result<Operation, Refusal> {
        let place = self
            .modules
            .binary_search_by(|required| (&*required.name, required.major).cmp(&(module, major)))
            .expect("a valid graph requires what it calls");
        let Required { name, major: _, module } = &self.modules[place];
        let signature = &module.spec().signature;
        let parameters = &signature.parameters;
        if !arguments.iter().map(|a| a.name.as_str()).eq(parameters.iter().map(|p| &*p.name)) {
            let given: Vec<&str> = arguments.iter().map(|argument| argument.name.as_str()).collect();
            return refuse(format!("calls {signature} with the arguments ({})", given.join(", ")));
        }
        let mut instance = Instance::default();
        let Arguments { values, functions } = self.arguments(signature, arguments, &mut instance)?;
        let wraps = options.on_error == Some(OnError::Wrap);
        let declared = if wraps { wrapped(ty)? } else { ty };
        let mut result = signature.result_type();
        if is_generic(&result) {
            // A variable that no argument decides is decided by what the compiler took the result for.
            result = match instance.apply(&result) {
                Some(result) => result,
                None => declared.clone(),
            };
        }
        Self::give(&result, declared)?;
        if let Some(fallback) = options.fallback {
            self.expect(fallback, declared, "its fallback")?;
        }
        // Destructured, so that a new option stops the build until someone decides what it does.
        let CallOptions {
            retry,
            timeout_ms,
            delay_ms,
            backoff,
            fallback,
            on_error,
            cache_ms,
            cache_backend,
            throttle,
            concurrency,
            priority,
            // Everything is evaluated at first use.
            lazy: _,
            // Streaming, which nothing applies.
            batch: _,
            batch_timeout_ms: _,
            window: _,
            checkpoint_ms: _,
            join: _,
        } = options;
        let recovery = match on_error {
            None | Some(OnError::Propagate) => Recovery::Propagate,
            Some(on_error @ (OnError::Skip | OnError::Log)) => {
                let Some(value) = self.zero(declared) else {
                    return refuse(format!("skips its errors, but a {declared} has no zero value"));
                };
                Recovery::Zero { value, log: *on_error == OnError::Log }
            }
            Some(OnError::Wrap) => {
                let Type::Record(record) = ty else { unreachable!("`wrapped` takes records only") };
                Recovery::Wrap { names: self.coercions.names(record) }
            }
        };
        let takes_functions = !functions.is_empty();
        let cache = cache_ms.filter(|_| !takes_functions).map(|milliseconds| CachePolicy {
            time_to_live: Duration::from_millis(milliseconds),
            backend: cache_backend.as_deref().map(Arc::from),
            identity: format!("{name} {major}.{} {result}", module.spec().minor).into(),
        });
        let further_attempts = retry.unwrap_or(0);
        let concurrency = concurrency.filter(|_| !takes_functions);
        let is_plain = !takes_functions
            && further_attempts == 0
            && cache.is_none()
            && throttle.is_none()
            && concurrency.is_none()
            && !wraps;
        Ok(Operation::Call(Arc::new(LoadedCall {
            module: Arc::clone(module),
            name: Arc::clone(name),
            arguments: values,
            functions,
            result,
            timeout: timeout_ms.map(Duration::from_millis),
            retry: RetryPolicy {
                further_attempts,
                delay: Duration::from_millis(delay_ms.unwrap_or(0)),
                backoff: backoff.unwrap_or(Backoff::Fixed),
            },
            cache,
            throttle: *throttle,
            concurrency,
            priority: priority.unwrap_or(NORMAL_PRIORITY),
            fallback: *fallback,
            recovery,
            is_plain,
            is_pure: module.spec().pure,
        })))
    }

    /// The value that stands for a failed call with `on_error: skip`; none for types without a value.
    fn zero(&mut self, ty: &Type) -> Option<Value> {
        Some(match ty {
            Type::String => Value::string(""),
            Type::Int => Value::Int(0),
            Type::Float => Value::Float(0.0),
            Type::Boolean => Value::Boolean(false),
            Type::List(_) | Type::Seq(_) => Value::list([]),
            Type::Map(..) => Value::Map([].into()),
            Type::Optional(_) => Value::none(),
            Type::Record(record) => {
                let values =
                    record.fields().iter().map(|field| self.zero(&field.ty)).collect::<Option<Vec<_>>>()?;
                let names = self.coercions.names(record);
                Value::Record(Arc::new(constellation_types::Record::new(names, values)))
            }
            Type::Union(union) => {
                let tag = Arc::clone(&self.coercions.tags(union)[0]);
                Value::tagged(tag, self.zero(&union.members()[0])?)
            }
            Type::Nothing | Type::Function(_) | Type::Variable(_) => return None,
        })
    }

    fn arguments<'s: 'i, 'i>(
        &self,
        signature: &'s FunctionSignature,
        arguments: &[Argument],
        instance: &mut Instance<'i>,
    ) -> Result<Arguments, Refusal>
    where
        'a: 'i,
    {
        let mut values = Vec::with_capacity(arguments.len());
        let mut functions = Vec::new();
        for (argument, parameter) in arguments.iter().zip(&signature.parameters) {
            let found = self.ty(argument.node);
            if !instance.accepts(&parameter.ty, found) {
                return refuse(format!("gives '{}' of {signature} a {found}", argument.name));
            }
            if !matches!(parameter.ty, Type::Function(_)) {
                self.expect_data(argument.node)?;
                values.push(argument.node);
                continue;
            }
            let Operation::Lambda(lambda) = &self.nodes[argument.node.index()].operation else {
                let (name, node) = (&argument.name, argument.node.0);
                return refuse(format!("gives '{name}' of {signature} nodes[{node}], which is no lambda"));
            };
            functions.push(Arc::clone(lambda));
        }
        // A variable may have become wider since a lambda was looked at, and what takes the narrower type does not
        // take the wider one.
        for (argument, parameter) in arguments.iter().zip(&signature.parameters) {
            let (Type::Function(expected), Type::Function(found)) = (&parameter.ty, self.ty(argument.node))
            else {
                continue;
            };
            let takes = expected
                .parameters
                .iter()
                .zip(&found.parameters)
                .all(|(given, taken)| instance.apply(given).is_some_and(|given| fits(&given, taken)));
            let gives = instance.apply(&expected.result).is_some_and(|wanted| fits(&found.result, &wanted));
            if !takes || !gives {
                let found = self.ty(argument.node);
                return refuse(format!("gives '{}' of {signature} a {found}", argument.name));
            }
        }
        Ok(Arguments { values: values.into(), functions: functions.into() })
    }
}

/// The `T` of `{ ok: Boolean, value: Optional<T>, error: Optional<String> }`.
fn wrapped(ty: &Type) -> Result<&Type, Refusal> {
    if let Type::Record(record) = ty
        && record.fields().len() == 3
        && record.get("ok") == Some(&Type::Boolean)
        && record.get("error") == Some(&Type::optional(Type::String))
        && let Some(Type::Optional(inner)) = record.get("value")
    {
        return Ok(inner);
    }
    refuse(format!("wraps its result, but is declared to be a {ty}"))
}
