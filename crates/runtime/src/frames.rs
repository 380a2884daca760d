//! Frames of runs that have ended, for further runs.

use std::sync::{Mutex, PoisonError};

use constellation_rehydrate::LoadedPipeline;

use crate::budget::Budget;
use crate::driver::Frame;

/// Frames that are kept: about as many as runs that take turns on a processor each.
const MAX_FRAMES: usize = 16;

/// Frames of larger graphs are not kept.
const MAX_NODES: usize = 4096;

/// Without them a run would make states for all nodes of its graph, also for those that it does not come to need.
#[derive(Debug, Default)]
pub(crate) struct Frames(
    #[expect(clippy::vec_box, reason = "a frame is large, and goes from hand to hand in each run")]
    Mutex<Vec<Box<Frame>>>,
);

impl Frames {
    /// A frame for a run that begins.
    pub(crate) fn take(&self, pipeline: &LoadedPipeline, budget: Budget) -> Box<Frame> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
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
        // Outside of the lock: what values hold is dropped here.
        frame.reset(&pipeline.certain);
        let mut frames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if frames.len() < MAX_FRAMES {
            frames.push(frame);
        }
    }
}
