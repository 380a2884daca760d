//! Frames of runs that have ended, for further runs.

use std::sync::{Mutex, PoisonError};

use constellation_rehydrate::LoadedPipeline;
use constellation_types::Value;

use crate::budget::Budget;
use crate::driver::Frame;

/// Frames that are kept: about as many as runs that take turns on a processor each.
const MAX_FRAMES: usize = 16;

/// Frames of larger graphs are not kept.
const MAX_NODES: usize = 4096;

/// Without them a run would make states for all nodes of its graph, also for those that it does not come to need.
#[derive(Debug, Default)]
pub(crate) struct Frames(Mutex<Vec<Frame>>);

impl Frames {
    /// A frame for a run that begins.
    pub(crate) fn take(
        &self,
        pipeline: &LoadedPipeline,
        inputs: Vec<Option<Value>>,
        budget: Budget,
    ) -> Frame {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match spare {
            Some(frame) => frame.again(pipeline, inputs, budget),
            None => Frame::of_graph(pipeline, inputs, budget),
        }
    }

    /// Takes the frame of a run that has ended.
    pub(crate) fn give_back(&self, mut frame: Frame) {
        if frame.states.len() > MAX_NODES {
            return;
        }
        // Outside of the lock: what values hold is dropped here.
        frame.reset();
        let mut frames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if frames.len() < MAX_FRAMES {
            frames.push(frame);
        }
    }
}
