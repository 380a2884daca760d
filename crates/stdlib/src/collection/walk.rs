//! Calls a function for one element after another: at once as long as its answers are there at once, and in one future
//! from the first answer on that is not.

use std::error::Error;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use constellation_module::{Function, ModuleError, Outcome};
use constellation_types::Value;
use futures_util::StreamExt;
use futures_util::future::{self, BoxFuture};
use futures_util::stream::FuturesOrdered;

type Answer = Result<Value, ModuleError>;

/// What becomes of the answers of a function for the elements of a list.
pub(super) trait Fold: Send + 'static {
    /// For how many elements the function may be called at the same time, when it waits. One where an answer decides
    /// whether it is called again.
    const AT_ONCE: usize = 16;

    /// Takes the answer for an element. Breaks with the result when nothing behind it matters.
    fn take(&mut self, item: &Value, answer: Value) -> Result<ControlFlow<Value>, ModuleError>;

    /// The result after the last element.
    fn end(self) -> Answer;
}

/// The result of a fold over `items`. `module` is the caller, for messages.
pub(super) fn walk<F: Fold>(function: Function, items: Arc<[Value]>, fold: F, module: Arc<str>) -> Outcome {
    let mut walk = Walk { function, items, fold, module, place: 0 };
    loop {
        let Some(item) = walk.items.get(walk.place) else { return Outcome::Ready(walk.fold.end()) };
        match walk.function.call(std::slice::from_ref(item)) {
            Outcome::Ready(answer) => match walk.take(answer) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(result)) => return Outcome::Ready(Ok(result)),
                Err(error) => return Outcome::Ready(Err(error)),
            },
            Outcome::Pending(answer) => return Outcome::Pending(Box::pin(walk.go_on(answer))),
        }
    }
}

struct Walk<F> {
    function: Function,
    items: Arc<[Value]>,
    fold: F,
    module: Arc<str>,
    /// The place of the element at hand.
    place: usize,
}

impl<F: Fold> Walk<F> {
    /// Takes the answer for the element at hand, and goes to the next.
    fn take(&mut self, answer: Answer) -> Result<ControlFlow<Value>, ModuleError> {
        let taken = answer.and_then(|answer| self.fold.take(&self.items[self.place], answer));
        let flow = taken.map_err(|error| at(&self.module, self.place, error))?;
        self.place += 1;
        Ok(flow)
    }

    /// Goes on where the answer for the element at hand is to come.
    async fn go_on(mut self, answer: BoxFuture<'static, Answer>) -> Answer {
        let mut in_flight = FuturesOrdered::from_iter([answer]);
        let mut next = self.place + 1;
        loop {
            while in_flight.len() < F::AT_ONCE
                && let Some(item) = self.items.get(next)
            {
                next += 1;
                match self.function.call(std::slice::from_ref(item)) {
                    // The usual case, which costs no allocation: the function computes, and waited only to let others
                    // have their turn.
                    Outcome::Ready(answer) if in_flight.is_empty() => {
                        if let ControlFlow::Break(result) = self.take(answer)? {
                            return Ok(result);
                        }
                    }
                    Outcome::Ready(answer) => in_flight.push_back(Box::pin(future::ready(answer))),
                    Outcome::Pending(answer) => in_flight.push_back(answer),
                }
            }
            let Some(answer) = in_flight.next().await else { return self.fold.end() };
            if let ControlFlow::Break(result) = self.take(answer)? {
                return Ok(result);
            }
        }
    }
}

/// The last of the values that `combine` makes of the value before it and an element, starting with `initial`.
pub(super) fn reduce(
    combine: Function,
    items: Arc<[Value]>,
    initial: Value,
    module: &'static str,
) -> Outcome {
    let mut arguments = [initial, Value::none()];
    for (place, item) in items.iter().enumerate() {
        arguments[1] = item.clone();
        match combine.call(&arguments) {
            Outcome::Ready(Ok(value)) => arguments[0] = value,
            Outcome::Ready(Err(error)) => return Outcome::Ready(Err(at(module, place, error))),
            Outcome::Pending(answer) => {
                return Outcome::Pending(Box::pin(async move {
                    let mut value = answer.await.map_err(|error| at(module, place, error))?;
                    for (place, item) in items.iter().enumerate().skip(place + 1) {
                        let answer = combine.call(&[value, item.clone()]).wait().await;
                        value = answer.map_err(|error| at(module, place, error))?;
                    }
                    Ok(value)
                }));
            }
        }
    }
    let [value, _] = arguments;
    Outcome::Ready(Ok(value))
}

/// The error of a call whose function failed for an element.
fn at(module: &str, place: usize, error: ModuleError) -> ModuleError {
    ModuleError::from_error(ElementError { message: format!("{module}: items[{place}]: {error}"), error })
}

/// Tells of which element an error is, and has the causes of that error.
#[derive(Debug)]
struct ElementError {
    message: String,
    error: ModuleError,
}

impl fmt::Display for ElementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ElementError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
