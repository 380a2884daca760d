//! One call of a module with its attempts: timeout, retry, delay.

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use constellation_module::{CallContext, ModuleError, Outcome};
use constellation_rehydrate::{LoadedCall, RetryPolicy};
use constellation_store_core::Backoff;
use constellation_types::Value;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture, Either};
use smallvec::SmallVec;

use crate::observe::{CallWatch, Site};
use crate::shared::Shared;
use crate::{RunErrorKind, RuntimeConfig};

/// The longest delay before another attempt.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Attempts whose errors are told of a call that failed; a program may ask for any number.
const MAX_TOLD: usize = 10;

/// Sources told of one error.
const MAX_SOURCES: usize = 10;

pub(crate) type Arguments = SmallVec<[Value; 4]>;

/// Why a call failed, after all of its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallFailure {
    pub(crate) kind: RunErrorKind,
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
}

/// What the first attempt of a call came to.
pub(crate) enum FirstAttempt {
    /// The call is over.
    Done(Result<Value, CallFailure>),
    /// It waits, or is attempted again.
    GoesOn(Attempts),
}

/// A call that is not over, and its first attempt if that was started.
pub(crate) struct Attempts {
    arguments: Arguments,
    context: CallContext,
    first: Option<Started>,
}

/// An attempt that was started.
enum Started {
    Over(Result<Value, CallFailure>),
    Waiting(BoxFuture<'static, Result<Value, ModuleError>>, CallWatch),
}

/// Starts a call. A module that answers at once and is not attempted again costs no allocation here.
pub(crate) fn first_attempt(
    call: &LoadedCall,
    arguments: Arguments,
    context: &CallContext,
    site: Site<'_>,
) -> FirstAttempt {
    match start(call, &arguments, context, site) {
        Started::Over(result) if result.is_ok() || call.retry.further_attempts == 0 => {
            FirstAttempt::Done(result)
        }
        first => FirstAttempt::GoesOn(Attempts { arguments, context: context.clone(), first: Some(first) }),
    }
}

impl Attempts {
    /// The attempts of a call of which nothing was started.
    pub(crate) fn new(arguments: Arguments, context: CallContext) -> Self {
        Self { arguments, context, first: None }
    }

    pub(crate) fn arguments(&self) -> &[Value] {
        &self.arguments
    }

    /// Ends with the result of the first attempt that succeeds, or the failure of the last.
    pub(crate) async fn finish(self, call: &LoadedCall, site: Site<'_>) -> Result<Value, CallFailure> {
        let Self { arguments, context, first: mut started } = self;
        let shared = &*site.run.shared;
        let RuntimeConfig { default_timeout, timer, .. } = &shared.config;
        // A call that is given functions takes as long as their bodies do; the calls in them have timeouts of their
        // own, and the run has a deadline.
        let default_timeout = call.functions.is_empty().then_some(*default_timeout);
        let timeout = call.timeout.or(call.module.spec().timeout).or(default_timeout);
        let mut told = Vec::new();
        let mut attempt: u64 = 1;
        loop {
            // What was started before had no turn to wait for. A turn is held until the attempt is over.
            let turn = match shared.limits.turn(call).filter(|_| started.is_none()) {
                Some(turn) => Some(turn.await),
                None => None,
            };
            let current = started.take().unwrap_or_else(|| {
                let number = u32::try_from(attempt).unwrap_or(u32::MAX);
                start(call, &arguments, &context.clone().with_attempt(number), site)
            });
            let failure = match wait(current, call, timeout, shared).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            drop(turn);
            if attempt > call.retry.further_attempts {
                return Err(exhausted(attempt, told, failure));
            }
            if told.len() < MAX_TOLD {
                told.push(format!("attempt {attempt}: {}", failure.message));
            }
            let delay = delay_after(call.retry, attempt);
            if delay.is_zero() {
                // A module that fails at once must not keep the thread.
                tokio::task::yield_now().await;
            } else {
                timer.sleep(delay).await;
            }
            attempt += 1;
        }
    }
}

fn start(call: &LoadedCall, arguments: &[Value], context: &CallContext, site: Site<'_>) -> Started {
    let watch = site.watch(call, context);
    let start = || call.module.call(arguments, context);
    // A module's defect is the failure of its call, not of the server.
    match catch_unwind(AssertUnwindSafe(|| watch.within(start))) {
        Ok(Outcome::Ready(result)) => Started::Over(watch.end(result.map_err(|error| failure_of(&error)))),
        Ok(Outcome::Pending(future)) => Started::Waiting(watch.instrument(future), watch),
        Err(panic) => Started::Over(watch.end(Err(panicked(&*panic)))),
    }
}

/// The end of an attempt. Its future is not polled before it has its slot.
async fn wait(
    attempt: Started,
    call: &LoadedCall,
    timeout: Option<Duration>,
    shared: &Shared,
) -> Result<Value, CallFailure> {
    let (future, watch) = match attempt {
        Started::Over(result) => return result,
        Started::Waiting(future, watch) => (AssertUnwindSafe(future).catch_unwind(), watch),
    };
    let _slot = match shared.slot(call) {
        Either::Left(slot) => slot,
        Either::Right(slot) => Some(slot.await?),
    };
    let ended = match timeout {
        Some(timeout) => match future::select(future, shared.config.timer.sleep(timeout)).await {
            Either::Left((ended, _)) => Ok(ended),
            Either::Right(((), _)) => Err(timeout),
        },
        None => Ok(future.await),
    };
    watch.end(match ended {
        Ok(Ok(result)) => result.map_err(|error| failure_of(&error)),
        Ok(Err(panic)) => Err(panicked(&*panic)),
        Err(timeout) => Err(CallFailure {
            kind: RunErrorKind::Timeout,
            message: format!("Operation timed out after {}ms", timeout.as_millis()),
            causes: Vec::new(),
        }),
    })
}

fn failure_of(error: &ModuleError) -> CallFailure {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source
        && causes.len() < MAX_SOURCES
    {
        causes.push(cause.to_string());
        source = cause.source();
    }
    CallFailure { kind: RunErrorKind::Module, message: error.to_string(), causes }
}

fn panicked(panic: &(dyn Any + Send)) -> CallFailure {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    CallFailure {
        kind: RunErrorKind::Module,
        message: format!("the module panicked: {text}"),
        causes: Vec::new(),
    }
}

/// The failure of a call whose attempts are used up. A single attempt keeps its own error.
fn exhausted(attempts: u64, told: Vec<String>, last: CallFailure) -> CallFailure {
    if attempts == 1 {
        return last;
    }
    let CallFailure { kind, message, causes } = last;
    CallFailure {
        kind,
        message: format!("Operation failed after {attempts} attempts: {message}"),
        causes: causes.into_iter().chain(told).collect(),
    }
}

/// The delay after the failed attempt of this number, from 1.
fn delay_after(retry: RetryPolicy, attempt: u64) -> Duration {
    let factor = match retry.backoff {
        Backoff::Fixed => 1,
        Backoff::Linear => u32::try_from(attempt).unwrap_or(u32::MAX),
        Backoff::Exponential => u32::try_from(attempt - 1)
            .ok()
            .and_then(|exponent| 2_u32.checked_pow(exponent))
            .unwrap_or(u32::MAX),
    };
    retry.delay.saturating_mul(factor).min(MAX_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(backoff: Backoff, delay_ms: u64, attempts: &[u64]) -> Vec<u64> {
        let retry = RetryPolicy { further_attempts: 100, delay: Duration::from_millis(delay_ms), backoff };
        attempts
            .iter()
            .map(|attempt| u64::try_from(delay_after(retry, *attempt).as_millis()).unwrap())
            .collect()
    }

    #[test]
    fn delays_grow_as_the_program_says_up_to_thirty_seconds() {
        assert_eq!(delays(Backoff::Fixed, 100, &[1, 2, 50]), [100, 100, 100]);
        assert_eq!(delays(Backoff::Linear, 100, &[1, 2, 3, 400]), [100, 200, 300, 30_000]);
        assert_eq!(delays(Backoff::Exponential, 100, &[1, 2, 3, 4, 10]), [100, 200, 400, 800, 30_000]);
        assert_eq!(delays(Backoff::Exponential, 1, &[40, u64::MAX]), [30_000, 30_000]);
        assert_eq!(delays(Backoff::Fixed, 60_000, &[1]), [30_000]);
        assert_eq!(delays(Backoff::Exponential, 0, &[40]), [0]);
    }
}
