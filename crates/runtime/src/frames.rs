//! Frames of runs that have ended, for further runs.

use std::cell::RefCell;

use constellation_rehydrate::LoadedPipeline;
use thread_local::ThreadLocal;

use crate::budget::Budget;
use crate::driver::Frame;

/// Frames that a thread keeps: about as many as runs that take turns on it.
const MAX_FRAMES: usize = 8;

/// Frames of larger graphs are not kept.
const MAX_NODES: usize = 4096;

/// Without them a run would make states for all nodes of its graph, also for those that it does not come to need.
///
/// Each thread has its own: a frame that another thread used last is in the cache of another processor.
#[derive(Debug, Default)]
pub(crate) struct Frames(
    #[expect(clippy::vec_box, reason = "a frame is large, and goes from hand to hand in each run")]
    ThreadLocal<RefCell<Vec<Box<Frame>>>>,
);

impl Frames {
    /// A frame for a run that begins.
    pub(crate) fn take(&self, pipeline: &LoadedPipeline, budget: Budget) -> Box<Frame> {
        let spare = self.0.get_or_default().borrow_mut().pop();
        match spare {
            Some(mut frame) => {
                frame.again(pipeline, budget);
                frame
            }
            None => Box::new(Frame::of_graph(pipeline, budget)),
        }
    }

    /// Takes the frame of a run that has ended.
    pub(crate) fn give_back(&self, pipeline: &LoadedPipeline, mut frame: Box<Frame>) {
        if frame.states.len() > MAX_NODES {
            return;
        }
        frame.reset(&pipeline.certain);
        let mut frames = self.0.get_or_default().borrow_mut();
        if frames.len() < MAX_FRAMES {
            frames.push(frame);
        }
    }
}
