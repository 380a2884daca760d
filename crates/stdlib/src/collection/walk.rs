//! Calls a function for one element after another: at once as long as its answers are there at once, and in one future
//! from the first answer on that is not.

use std::error::Error;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use constellation_module::{Function, ModuleError, Outcome};
use constellation_types::Value;

type Answer = Result<Value, ModuleError>;

/// What becomes of the answers of a function for the elements of a list.
pub(super) trait Fold: Send + 'static {
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
            Outcome::Pending(answer) => {
                return Outcome::Pending(Box::pin(async move {
                    let answer = answer.await;
                    walk.go_on(answer).await
                }));
            }
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

    async fn go_on(mut self, mut answer: Answer) -> Answer {
        loop {
            if let ControlFlow::Break(result) = self.take(answer)? {
                return Ok(result);
            }
            let Some(item) = self.items.get(self.place) else { return self.fold.end() };
            let outcome = self.function.call(std::slice::from_ref(item));
            answer = outcome.wait().await;
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
