//! Lambdas, as modules see them.

use std::fmt;
use std::sync::Arc;

use constellation_types::Value;

use crate::Outcome;

/// A lambda that a program gives to a call; see [`CallContext::functions`](crate::CallContext::functions).
///
/// It is not a [`Value`]: it has no JSON form and equals nothing, and a module can neither answer with it nor pass it
/// on. Cloning is cheap. It can be called as long as the run goes on; afterwards each call is an error.
#[derive(Clone)]
pub struct Function(Arc<Call>);

type Call = dyn Fn(&[Value]) -> Outcome + Send + Sync;

impl Function {
    /// A function of Rust code, such as for the test of a module.
    pub fn new(function: impl Fn(&[Value]) -> Outcome + Send + Sync + 'static) -> Self {
        Self(Arc::new(function))
    }

    /// Calls it with one value for each of its parameters, of their types.
    ///
    /// # Behavior
    ///
    /// * A body that waits for nothing is evaluated at once, on the thread of the caller, and its answer is
    ///   [`Outcome::Ready`]. There is neither a future nor a task for it, so that calling it for each element of a long
    ///   list is cheap.
    /// * A body that waits answers with [`Outcome::Pending`], and so does one now and then that does not, before it is
    ///   evaluated: other work gets its turn, and the run looks at its deadline. So a module that calls a function has
    ///   to be ready for both.
    /// * The answer may be an error: something in the body failed. Most modules fail with it.
    /// * Dropping the future cancels what the body waits for.
    pub fn call(&self, arguments: &[Value]) -> Outcome {
        (self.0)(arguments)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Function")
    }
}
