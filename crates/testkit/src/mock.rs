//! Modules that answer what a test says, and note how they were called.

use std::error::Error;
use std::ops::Index;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use constellation_module::{Module, ModuleBuilder, ModuleError, Outcome};
use constellation_types::{Parameter, Type, Value, decode_json};
use serde_json::Value as Json;

use crate::run::json_of;
use crate::signature::Signature;

/// A call of a mock, as the function that answers it sees it. `call["id"]` is the argument `id` as JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct MockCall {
    arguments: Json,
    number: usize,
    attempt: u32,
}

impl MockCall {
    /// The arguments, an object by parameter name.
    pub fn arguments(&self) -> &Json {
        &self.arguments
    }

    /// Which call of this mock it is, over all runs of the kit, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Which attempt it is, from 1; more when the program asked for retries.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// # Panics
///
/// When there is no such parameter.
impl Index<&str> for MockCall {
    type Output = Json;

    #[track_caller]
    fn index(&self, name: &str) -> &Json {
        match self.arguments.get(name) {
            Some(argument) => argument,
            None => panic!("the mock has no parameter '{name}'; it was called with {}", self.arguments),
        }
    }
}

/// What a mock does with a call. JSON and a `Result` of JSON become one.
#[derive(Debug, Clone)]
pub struct Answer {
    result: Result<Json, ModuleError>,
    delay: Duration,
}

impl Answer {
    /// A failure: a text, or any error, whose sources are told as its causes.
    pub fn error(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Err(error).into()
    }

    /// The same, that long after the call. [`Duration::MAX`] is never.
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

impl From<Json> for Answer {
    fn from(json: Json) -> Self {
        Self { result: Ok(json), delay: Duration::ZERO }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<Result<Json, E>> for Answer {
    fn from(result: Result<Json, E>) -> Self {
        Self { result: result.map_err(ModuleError::from_error), delay: Duration::ZERO }
    }
}

/// The arguments of calls. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallLog(Arc<Mutex<Vec<Json>>>);

impl CallLog {
    pub(crate) fn arguments(&self) -> Vec<Json> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a call, and says how many there were with it.
    fn add(&self, arguments: Json) -> usize {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(arguments);
        calls.len()
    }
}

pub(crate) fn module<A: Into<Answer>>(
    signature: Signature,
    log: CallLog,
    answer: impl Fn(&MockCall) -> A + Send + Sync + 'static,
) -> impl Module {
    let Signature { name, parameters, result } = signature;
    // As the derive does it: a struct of several fields is several results.
    let results = match result.as_record() {
        Some(record) if record.fields().len() > 1 => {
            record.fields().iter().map(|field| (Arc::clone(&field.name), field.ty.clone())).collect()
        }
        _ => vec![(Arc::from("out"), result.clone())],
    };
    let signature: Vec<_> =
        parameters.iter().map(|parameter| (Arc::clone(&parameter.name), parameter.ty.clone())).collect();
    ModuleBuilder::new(&name).values_with_context(signature, results, move |values, context| {
        let arguments = arguments_of(&parameters, values);
        let number = log.add(arguments.clone());
        let call = MockCall { arguments, number, attempt: context.attempt() };
        let Answer { result: answer, delay } = answer(&call).into();
        let answer = answer.and_then(|json| decode(&json, &result, &name));
        if delay.is_zero() {
            return Outcome::Ready(answer);
        }
        Outcome::Pending(Box::pin(async move {
            tokio::time::sleep(delay).await;
            answer
        }))
    })
}

fn arguments_of(parameters: &[Parameter], values: &[Value]) -> Json {
    let arguments = parameters.iter().zip(values);
    arguments.map(|(parameter, value)| (parameter.name.to_string(), json_of(value, &parameter.ty))).collect()
}

fn decode(json: &Json, ty: &Type, name: &str) -> Result<Value, ModuleError> {
    decode_json(json, ty, "answer").map_err(|error| {
        ModuleError::with_source(format!("the mock '{name}' answers {json}, which is no {ty}"), error)
    })
}
