//! A run: what all its parts share, and the future that drives it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use constellation_module::{CallContext, Cancellation};
use constellation_rehydrate::LoadedPipeline;
use crossbeam_utils::CachePadded;
use futures_util::future::{self, BoxFuture, Either};

use crate::budget::Budget;
use crate::deep::Deep;
use crate::details::{Asked, Times};
use crate::driver::{Driver, Frame};
use crate::in_flight::{Calls, Ended};
use crate::inputs::take_inputs;
use crate::shared::Shared;
use crate::{Inputs, RunError, RunErrorKind, RunOptions, RunReport, observe};

/// Nodes evaluated before other tasks get their turn.
const STEPS_BETWEEN_YIELDS: u32 = 1024;

pub(crate) async fn run(
    pipeline: &Arc<LoadedPipeline>,
    shared: &Arc<CachePadded<Shared>>,
    inputs: Inputs,
    options: RunOptions,
) -> RunReport {
    let span = observe::run_span(pipeline, options.run_id.as_deref());
    observe::watch_run(span, &shared.config, evaluate(pipeline, shared, inputs, &options)).await
}

async fn evaluate(
    pipeline: &Arc<LoadedPipeline>,
    shared: &Arc<CachePadded<Shared>>,
    inputs: Inputs,
    options: &RunOptions,
) -> RunReport {
    let config = &shared.config;
    let asked = Asked::of(options);
    let RunOptions { max_value_bytes, max_duration, .. } = options;
    let budget = Budget::new(max_value_bytes.unwrap_or(config.max_value_bytes));
    let mut frame = shared.frames.take(pipeline, budget);
    if let Err(report) = take_inputs(pipeline, inputs, &mut frame) {
        shared.frames.give_back(pipeline, frame);
        return *report;
    }
    let run = Arc::new(Run {
        pipeline: Arc::clone(pipeline),
        shared: Arc::clone(shared),
        context: CallContext::new(Cancellation::default()),
        stopped: OnceLock::new(),
        body_steps: AtomicU32::new(0),
        turn: AtomicU32::new(0),
        deep: Deep::default(),
    });
    frame.hands_on = !asked.is_anything();
    frame.times = asked.times.then(|| Box::new(Times::start(&config.timer)));
    // After the frame, so that what is in flight is told before it is dropped.
    let _end = EndOfRun(&run);
    drive(&run, &mut frame, max_duration.unwrap_or(config.max_duration)).await;
    let report = Driver::new(&run, &mut frame).report(asked);
    shared.frames.give_back(pipeline, frame);
    report
}

/// What all parts of a run share: the evaluation of its graph, and those of the bodies of lambdas.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) pipeline: Arc<LoadedPipeline>,
    pub(crate) shared: Arc<CachePadded<Shared>>,
    pub(crate) context: CallContext,
    /// Why the run as a whole ends early.
    stopped: OnceLock<RunError>,
    /// Nodes of bodies that were evaluated since other tasks had their turn.
    body_steps: AtomicU32,
    /// How often they had it, as long as it is counted.
    turn: AtomicU32,
    pub(crate) deep: Deep,
}

impl Run {
    /// Ends the run early. The first reason counts.
    pub(crate) fn stop(&self, error: RunError) {
        // A second reason is a consequence of the first.
        let _ = self.stopped.set(error);
        // It may have come up in a body, whose caller may go on whatever it hears.
        self.deep.wake();
    }

    pub(crate) fn stopped(&self) -> Option<&RunError> {
        self.stopped.get()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get().is_some()
    }

    /// What of the driver's own ends next; none when nothing is in flight, or the run ends early.
    fn next(&self, calls: &mut Calls) -> impl Future<Output = Option<Ended>> + Unpin {
        future::poll_fn(|context| {
            // Bodies are handed in, and stop the run from elsewhere, only where there are bodies.
            if self.pipeline.has_lambdas {
                self.deep.take(calls, context);
            }
            match calls.poll_next(&*self.shared.config.timer, context) {
                Poll::Pending if self.is_stopped() => Poll::Ready(None),
                next => next,
            }
        })
    }

    /// Notes that nodes of bodies were evaluated.
    pub(crate) fn count_body_steps(&self, steps: u32) {
        // Parts of a run that count at the same time may lose a few steps, which does not matter.
        let counted = self.body_steps.load(Ordering::Relaxed).saturating_add(steps);
        self.body_steps.store(counted, Ordering::Relaxed);
    }

    /// Whether bodies were evaluated for so long that other tasks should have their turn before the next one is.
    pub(crate) fn is_turn_over(&self) -> bool {
        self.body_steps.load(Ordering::Relaxed) >= STEPS_BETWEEN_YIELDS
    }

    /// Lets other tasks have their turn. Of many that wait for it the first starts the next turn of this run, and those
    /// that find it over again wait for the one after it: otherwise each of them would take a turn of its own.
    pub(crate) async fn next_turn(&self) {
        let mut turn = self.turn.load(Ordering::Relaxed);
        loop {
            tokio::task::yield_now().await;
            let current = self.turn.load(Ordering::Relaxed);
            if current == turn {
                self.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
                self.body_steps.store(0, Ordering::Relaxed);
            }
            if !self.is_turn_over() {
                return;
            }
            turn = current;
        }
    }
}

/// However a run ends, also when its future is dropped: work that a module has elsewhere is not wanted any more.
struct EndOfRun<'a>(&'a Run);

impl Drop for EndOfRun<'_> {
    fn drop(&mut self) {
        self.0.context.cancellation().cancel();
        self.0.deep.close();
    }
}

async fn drive(run: &Arc<Run>, frame: &mut Frame, max_duration: Duration) {
    let timer = &run.shared.config.timer;
    let start = timer.now();
    let late = || RunError {
        kind: RunErrorKind::DeadlineExceeded,
        module: None,
        label: None,
        node: None,
        message: format!("the run took longer than {} ms", max_duration.as_millis()),
        causes: Vec::new(),
    };
    // Made only when the run waits: a run of pure nodes ends before it could matter.
    let mut deadline: Option<BoxFuture<'static, ()>> = None;
    let certain = &*run.pipeline.certain;
    loop {
        while Driver::new(run, frame).advance_up_to(certain, STEPS_BETWEEN_YIELDS) == STEPS_BETWEEN_YIELDS {
            tokio::task::yield_now().await;
            if timer.now().saturating_sub(start) >= max_duration {
                run.stop(late());
            }
        }
        if run.is_stopped() || frame.calls.is_empty() {
            return;
        }
        let deadline = deadline.get_or_insert_with(|| {
            let elapsed = timer.now().saturating_sub(start);
            timer.sleep(max_duration.saturating_sub(elapsed))
        });
        let event = match future::select(run.next(&mut frame.calls), deadline).await {
            Either::Left((ended, _)) => Some(ended),
            Either::Right(((), _)) => None,
        };
        match event {
            Some(Some(ended)) => Driver::new(run, frame).ended(ended),
            Some(None) => {}
            None => run.stop(late()),
        }
    }
}
