//! What a module is: its specification, and how it is called.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use constellation_types::{FunctionSignature, Value};
use futures_core::future::BoxFuture;

use crate::{Function, ModuleError};

/// Rust code that pipelines call. [`ModuleBuilder`](crate::ModuleBuilder) makes one from a plain function.
pub trait Module: fmt::Debug + Send + Sync + 'static {
    /// What the module is called, takes and gives. It never changes during the life of a module.
    fn spec(&self) -> &ModuleSpec;

    /// Starts a call.
    ///
    /// # Behavior
    ///
    /// * `arguments` are in the order of the signature's parameters, one for each, of their types; what binds a
    ///   pipeline to its modules has checked that.
    /// * A parameter of a function type has no argument among them, since a function is not a value:
    ///   [`CallContext::functions`] has those of all such parameters, in their order.
    /// * The answer is of [`FunctionSignature::result_type`]: the value of a single result, or a record of several
    ///   in the order of the signature.
    /// * A module that has its answer at once gives [`Outcome::Ready`]. It runs on the thread of the caller, so it
    ///   must not block. All that waits belongs into the future of [`Outcome::Pending`], which may be dropped at
    ///   any time to cancel the call.
    fn call(&self, arguments: &[Value], context: &CallContext) -> Outcome;
}

/// A called module's answer, now or later.
pub enum Outcome {
    /// The answer, without a future to poll.
    Ready(Result<Value, ModuleError>),
    /// The answer to come. Nothing happens until the future is polled; dropping it cancels the call.
    Pending(BoxFuture<'static, Result<Value, ModuleError>>),
}

impl Outcome {
    /// Waits for the answer.
    ///
    /// # Errors
    ///
    /// The module's own.
    pub async fn wait(self) -> Result<Value, ModuleError> {
        match self {
            Self::Ready(answer) => answer,
            Self::Pending(future) => future.await,
        }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(answer) => f.debug_tuple("Ready").field(answer).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}

/// What a module is called, what it takes and gives, and how it wants to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSpec {
    /// The function that programs call, with the module's name and major version.
    pub signature: FunctionSignature,
    /// The minor version. It tells people of changes that break nobody; nothing is decided by it.
    pub minor: u32,
    /// What the module does, for people: one or a few sentences.
    pub description: String,
    /// Calls to learn from, in the order given.
    pub examples: Vec<CallExample>,
    /// Words to find it by, in the order given.
    pub tags: Vec<String>,
    /// How long one call may take; none leaves it to the runtime's default.
    pub timeout: Option<Duration>,
    /// Whether equal arguments give equal answers and a call changes nothing else. Calls of such a module may be
    /// repeated or spared.
    pub pure: bool,
    /// Whether clients of a server may call the module by itself, without a program.
    pub published: bool,
}

impl ModuleSpec {
    /// A specification with nothing but a signature: minor version 0, no description, not known to be pure, and not
    /// published.
    pub fn new(signature: FunctionSignature) -> Self {
        Self {
            signature,
            minor: 0,
            description: String::new(),
            examples: Vec::new(),
            tags: Vec::new(),
            timeout: None,
            pure: false,
            published: false,
        }
    }
}

/// An expression that calls a module's function, and what it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallExample {
    /// Source text of the language that needs no input, such as `add(2, 3)`.
    pub expression: String,
    /// Its value as the JSON of the API, such as `5`.
    pub result: String,
}

/// What a call may know of the run that it belongs to. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct CallContext {
    cancellation: Cancellation,
    attempt: u32,
    // Most calls are given no function, and cost nothing for it.
    functions: Option<Arc<[Function]>>,
}

impl CallContext {
    /// The context of a first attempt in a run that stops when `cancellation` says so.
    pub fn new(cancellation: Cancellation) -> Self {
        Self { cancellation, attempt: 1, functions: None }
    }

    /// The same for another attempt, counted from 1.
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same for a call that is given these functions.
    pub fn with_functions(mut self, functions: impl Into<Arc<[Function]>>) -> Self {
        self.functions = Some(functions.into());
        self
    }

    /// The functions that the call is given: one for each parameter of a function type, in the order of the
    /// signature.
    pub fn functions(&self) -> &[Function] {
        self.functions.as_deref().unwrap_or_default()
    }

    /// Whether and when the run stops. The future of a call is dropped then, so only work that goes on elsewhere,
    /// such as on a blocking thread, needs to look.
    pub fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    /// Which attempt this is, from 1; more when the program asked for retries.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// The first attempt in a run that nobody cancels.
impl Default for CallContext {
    fn default() -> Self {
        Self::new(Cancellation::default())
    }
}

/// A flag that is raised once, when a run is no longer wanted. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Raises the flag, for all clones and for good.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_is_seen_by_all_clones() {
        let cancellation = Cancellation::default();
        let context = CallContext::new(cancellation.clone()).with_attempt(3);
        assert!(!context.cancellation().is_cancelled());
        cancellation.cancel();
        assert!(context.clone().cancellation().is_cancelled());
        assert_eq!(context.attempt(), 3);
    }
}
