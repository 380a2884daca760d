//! One call of a module with its attempts: timeout, retry, delay.

mod pending;

use std::any::Any;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use constellation_module::{CallContext, ModuleError, Outcome};
use constellation_rehydrate::{LoadedCall, RetryPolicy};
use constellation_store_core::Backoff;
use constellation_types::Value;
use futures_util::future::{BoxFuture, Either};

use crate::observe::{CallWatch, Site};
use crate::{RunErrorKind, RuntimeConfig};

pub(crate) use pending::PendingAttempt;

/// The longest delay before another attempt.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Attempts whose errors are told of a call that failed; a program may ask for any number.
const MAX_TOLD: usize = 10;

/// Sources told of one error.
const MAX_SOURCES: usize = 10;

/// What a call came to: its failure is boxed, so that the usual case is small.
pub(crate) type CallResult = Result<Value, Box<CallFailure>>;

/// Why a call failed, after all of its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallFailure {
    pub(crate) kind: RunErrorKind,
    pub(crate) message: String,
    pub(crate) causes: Vec<String>,
}

/// Where the attempts were made that a result is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempted {
    /// For this call.
    Here,
    /// For an equal call, whose result was kept or shared.
    Elsewhere,
}

/// What further attempts of a call are made of.
#[derive(Debug)]
pub(crate) struct Attempts {
    pub(crate) arguments: Vec<Value>,
    pub(crate) context: CallContext,
}

/// An attempt that was started.
pub(crate) enum Started {
    Over(CallResult),
    Waiting(Waiting),
}

/// An attempt whose module answers later.
pub(crate) struct Waiting {
    pub(crate) future: BoxFuture<'static, Result<Value, ModuleError>>,
    pub(crate) watch: Option<Box<CallWatch>>,
}

impl Waiting {
    /// Tells that the attempt has waited for its slot, or was refused one.
    fn waited(&mut self, is_refused: bool) {
        if is_refused {
            self.watch.take().into_iter().for_each(|watch| watch.refused());
        } else if let Some(watch) = &mut self.watch {
            watch.restart();
        }
    }
}

impl Attempts {
    /// Ends with the result of the first attempt that succeeds, or the failure of the last. The first of them may have
    /// been started.
    pub(crate) async fn finish(
        self,
        mut started: Option<Started>,
        call: &LoadedCall,
        site: Site<'_>,
    ) -> CallResult {
        let Self { arguments, context } = self;
        let shared = &*site.run.shared;
        let timer = &shared.config.timer;
        let timeout = timeout_of(call, &shared.config);
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
            let result = match current {
                Started::Over(result) => result,
                Started::Waiting(mut waiting) => {
                    let slot = match shared.slot(call) {
                        Either::Left(slot) => Ok(slot),
                        Either::Right(slot) => {
                            let slot = slot.await.map(Some);
                            waiting.waited(slot.is_err());
                            slot
                        }
                    };
                    match slot {
                        // Its future is not polled before it has its slot.
                        Ok(slot) => PendingAttempt::new(waiting, slot).within(timeout, &**timer).await,
                        Err(failure) => Err(failure),
                    }
                }
            };
            drop(turn);
            let failure = match result {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if attempt > call.retry.further_attempts {
                return Err(exhausted(attempt, told, *failure).into());
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

/// How long an attempt may take.
pub(crate) fn timeout_of(call: &LoadedCall, config: &RuntimeConfig) -> Option<Duration> {
    // A call that is given functions takes as long as their bodies do; the calls in them have timeouts of their own,
    // and the run has a deadline.
    let default = call.functions.is_empty().then_some(config.default_timeout);
    call.timeout.or(call.module.spec().timeout).or(default)
}

/// Starts an attempt. A module that answers at once costs no allocation here.
pub(crate) fn start(
    call: &LoadedCall,
    arguments: &[Value],
    context: &CallContext,
    site: Site<'_>,
) -> Started {
    let watch = site.watch(call, context);
    let start = || match &watch {
        None => call.module.call(arguments, context),
        Some(watch) => watch.within(|| call.module.call(arguments, context)),
    };
    // A module's defect is the failure of its call, not of the server.
    started(catch_unwind(AssertUnwindSafe(start)), watch, call, site)
}

/// What an attempt is after the call of its module, which may have panicked.
pub(crate) fn started(
    outcome: thread::Result<Outcome>,
    watch: Option<Box<CallWatch>>,
    call: &LoadedCall,
    site: Site<'_>,
) -> Started {
    let result: CallResult = match outcome {
        Ok(Outcome::Pending(future)) => {
            let watch = site.watch_pending(call, watch);
            let future = match &watch {
                None => future,
                Some(watch) => watch.instrument(future),
            };
            return Started::Waiting(Waiting { future, watch });
        }
        Ok(Outcome::Ready(result)) => result.map_err(|error| failure_of(&error).into()),
        Err(panic) => Err(panicked(&*panic).into()),
    };
    let is_observed = watch.as_ref().is_some_and(|watch| watch.is_observed());
    if let Some(watch) = watch {
        watch.end(&result);
    }
    if !is_observed && result.is_err() {
        site.failed_at_once(call);
    }
    Started::Over(result)
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
