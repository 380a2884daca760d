//! What a runtime tells while it works: an observer of runs and calls, and a tracing span for each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use constellation_module::{CallContext, ModuleError};
use constellation_rehydrate::{LoadedCall, LoadedPipeline};
use constellation_store_core::NodeIndex;
use constellation_types::Value;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span};

use crate::call::CallResult;
use crate::run::Run;
use crate::{RunErrorKind, RunReport, RuntimeConfig};

/// Is told what a runtime does, such as to count it. It is called where runs are driven, so it must not block.
pub trait RunObserver: fmt::Debug + Send + Sync {
    /// A run has begun. It ends with one call of [`RunObserver::run_ended`].
    fn run_started(&self);

    /// A run has ended after `duration`; without a report when its future was dropped.
    fn run_ended(&self, report: Option<&RunReport>, duration: Duration);

    /// An attempt of a call of `module` has ended, `duration` after it was started. It is not told of attempts that a
    /// pure module answers at once with a value: there are thousands of them in a run, and the telling would take longer.
    fn call_ended(&self, module: &str, outcome: CallOutcome, duration: Duration);
}

/// How an attempt of a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// The module gave a value.
    Succeeded,
    /// The module reported an error, or panicked.
    Failed,
    /// It took longer than it may.
    TimedOut,
    /// It was not made, since too many calls wait for their slots.
    Refused,
    /// Nobody waits for it any more: the run has ended, or a call around it.
    Cancelled,
}

impl CallOutcome {
    /// All outcomes.
    pub const ALL: [Self; 5] =
        [Self::Succeeded, Self::Failed, Self::TimedOut, Self::Refused, Self::Cancelled];

    /// The outcome as text, such as `timed_out`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }

    fn of(result: &CallResult) -> Self {
        match result {
            Ok(_) => Self::Succeeded,
            Err(failure) if failure.kind == RunErrorKind::Timeout => Self::TimedOut,
            Err(_) => Self::Failed,
        }
    }
}

/// The span of a run. Its level is `debug`, since to make one takes longer than a small run does: the server's span of
/// the request around it tells as much.
pub(crate) fn run_span(pipeline: &LoadedPipeline, run_id: Option<&str>) -> Span {
    let pipeline = &pipeline.image.structural_hash;
    tracing::debug_span!("run", run_id, pipeline = pipeline.to_string(), status = Empty)
}

/// A run within its span, of which the observer is told. This is no `async fn`, whose future would have room for the run
/// three times.
pub(crate) fn watch_run(
    span: Span,
    config: &RuntimeConfig,
    run: impl Future<Output = RunReport>,
) -> impl Future<Output = RunReport> {
    let watch = RunWatch::start(config);
    run.instrument(span.clone()).inspect(move |report| {
        span.record("status", report.status.as_str());
        span.in_scope(|| tracing::debug!("the run has ended"));
        if let Some(watch) = watch {
            watch.end(Some(report));
        }
    })
}

/// A run that an observer is told of.
struct RunWatch<'a> {
    config: &'a RuntimeConfig,
    observer: &'a dyn RunObserver,
    start: Duration,
    ended: bool,
}

impl<'a> RunWatch<'a> {
    fn start(config: &'a RuntimeConfig) -> Option<Self> {
        let observer = config.observer.as_deref()?;
        observer.run_started();
        Some(Self { config, observer, start: config.timer.now(), ended: false })
    }

    fn end(mut self, report: Option<&RunReport>) {
        self.tell(report);
    }

    fn tell(&mut self, report: Option<&RunReport>) {
        self.ended = true;
        self.observer.run_ended(report, self.config.timer.now().saturating_sub(self.start));
    }
}

impl Drop for RunWatch<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.tell(None);
        }
    }
}

/// The calls of which somebody wants to know each attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Watched {
    Nothing,
    /// Calls of modules that are not pure.
    Impure,
    All,
}

impl Watched {
    /// Those that are watched at this time: the level of tracing may change.
    #[inline]
    pub(crate) fn now(config: &RuntimeConfig) -> Self {
        if LevelFilter::current() >= LevelFilter::DEBUG {
            Self::All
        } else if config.observer.is_some() {
            Self::Impure
        } else {
            Self::Nothing
        }
    }

    #[inline]
    pub(crate) fn includes(self, call: &LoadedCall) -> bool {
        match self {
            Self::Nothing => false,
            Self::Impure => !call.is_pure,
            Self::All => true,
        }
    }
}

/// Whose call is made.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) run: &'a Arc<Run>,
    pub(crate) node: NodeIndex,
}

impl Site<'_> {
    /// Starts to watch an attempt, if anybody wants to know of it.
    #[inline]
    pub(crate) fn watch(self, call: &LoadedCall, context: &CallContext) -> Option<Box<CallWatch>> {
        let config = &self.run.shared.config;
        Watched::now(config).includes(call).then(|| {
            let is_observed = config.observer.is_some() && !call.is_pure;
            Box::new(self.watch_for_somebody(call, context, is_observed))
        })
    }

    fn watch_for_somebody(self, call: &LoadedCall, context: &CallContext, is_observed: bool) -> CallWatch {
        let span = tracing::debug_span!(
            "call",
            module = &*call.name,
            label = self.run.pipeline.label(self.node),
            attempt = context.attempt(),
            outcome = Empty
        );
        CallWatch { span, observed: is_observed.then(|| self.observed(call)) }
    }

    /// Goes on to watch an attempt that did not end at once.
    pub(crate) fn watch_pending(
        self,
        call: &LoadedCall,
        watch: Option<Box<CallWatch>>,
    ) -> Option<Box<CallWatch>> {
        if self.run.shared.config.observer.is_none() {
            return watch;
        }
        let mut watch = watch.unwrap_or_else(|| Box::new(CallWatch { span: Span::none(), observed: None }));
        watch.observed.get_or_insert_with(|| self.observed(call));
        Some(watch)
    }

    /// Tells of an attempt that failed at once, and was not watched.
    pub(crate) fn failed_at_once(self, call: &LoadedCall) {
        if let Some(observer) = &self.run.shared.config.observer {
            observer.call_ended(&call.name, CallOutcome::Failed, Duration::ZERO);
        }
    }

    fn observed(self, call: &LoadedCall) -> Observed {
        Observed {
            run: Arc::clone(self.run),
            module: Arc::clone(&call.name),
            start: self.run.shared.config.timer.now(),
        }
    }
}

/// An attempt of a call that somebody watches. Boxed, since usually nobody does.
pub(crate) struct CallWatch {
    span: Span,
    observed: Option<Observed>,
}

struct Observed {
    run: Arc<Run>,
    module: Arc<str>,
    start: Duration,
}

impl CallWatch {
    /// Whether the observer is told of the attempt.
    pub(crate) fn is_observed(&self) -> bool {
        self.observed.is_some()
    }

    /// Runs code of the module in the span of its call.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.span.in_scope(work)
    }

    /// The same for code that waits.
    pub(crate) fn instrument(
        &self,
        future: BoxFuture<'static, Result<Value, ModuleError>>,
    ) -> BoxFuture<'static, Result<Value, ModuleError>> {
        if self.span.is_disabled() { future } else { Box::pin(future.instrument(self.span.clone())) }
    }

    /// Starts again to measure how long the attempt takes.
    pub(crate) fn restart(&mut self) {
        if let Some(observed) = &mut self.observed {
            observed.start = observed.run.shared.config.timer.now();
        }
    }

    /// Tells that the attempt got no slot.
    pub(crate) fn refused(mut self) {
        self.tell(CallOutcome::Refused);
    }

    /// Tells how the attempt ended.
    pub(crate) fn end(mut self, result: &CallResult) {
        self.tell(CallOutcome::of(result));
    }

    fn tell(&mut self, outcome: CallOutcome) {
        // Not again when it is dropped.
        let span = std::mem::replace(&mut self.span, Span::none());
        if !span.is_disabled() {
            span.record("outcome", outcome.as_str());
            span.in_scope(|| tracing::debug!("the call has ended"));
        }
        if let Some(Observed { run, module, start }) = self.observed.take()
            && let RuntimeConfig { observer: Some(observer), timer, .. } = &run.shared.config
        {
            observer.call_ended(&module, outcome, timer.now().saturating_sub(start));
        }
    }
}

impl Drop for CallWatch {
    fn drop(&mut self) {
        self.tell(CallOutcome::Cancelled);
    }
}
