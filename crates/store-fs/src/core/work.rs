//! What is done elsewhere than where commits are made: the steps of a checkpoint, and segments that are written in
//! advance.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use constellation_store_core::Result;

use super::Core;
use super::checkpoint::StepDone;
use crate::error::FileError;
use crate::journal::Spare;
use crate::seeded::{self, SeededBug};

/// Something that any thread may do while commits are made, with all that it needs: they write to other files.
#[must_use = "a step that is taken and not done ends its checkpoint"]
pub struct Work(Box<dyn FnOnce() + Send>);

impl Work {
    /// Work whose outcome is to be received.
    fn new<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> (Self, Receiver<T>) {
        let (reply, outcome) = sync_channel(1);
        let work = move || {
            // A core that is gone does not want to know.
            let _ = reply.send(work());
        };
        (Self(Box::new(work)), outcome)
    }

    /// Does it. The core learns of it at [`Core::finish_work`].
    pub fn run(self) {
        (self.0)();
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

/// What was taken to be done elsewhere, and not taken in.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    pub(super) step: Option<Receiver<Result<StepDone, FileError>>>,
    spare: Option<Receiver<Result<Spare, FileError>>>,
}

impl UnderWay {
    /// Waits until all of it is done, whatever comes of it.
    pub(super) fn wait(&mut self) {
        let Self { step, spare } = self;
        let _ = step.take().map(|outcome| outcome.recv());
        let _ = spare.take().map(|outcome| outcome.recv());
    }
}

impl Core {
    /// The next step of the checkpoint that is under way, for any thread to do. None when there is no checkpoint, or
    /// when a step was taken and not taken in.
    ///
    /// Commits may be made meanwhile: they write to the journal, and a step to other files.
    pub fn next_work(&mut self) -> Option<Work> {
        if self.under_way.step.is_some() {
            return None;
        }
        let step = self.checkpoint.as_mut()?.next()?;
        let files = self.files.clone();
        let (work, outcome) = Work::new(move || step.run(&files));
        self.under_way.step = Some(outcome);
        Some(work)
    }

    /// A segment of the journal to be written in advance, for any thread to do. None while the last one has room, and
    /// when another one is there or was taken and not taken in.
    ///
    /// Commits may be made meanwhile. Where it comes too late, or fails, they write zeros themselves.
    pub fn next_spare(&mut self) -> Option<Work> {
        if !self.is_writer || self.under_way.spare.is_some() {
            return None;
        }
        let spare = self.journal.plan_spare()?;
        let (work, outcome) = Work::new(move || spare.write());
        self.under_way.spare = Some(outcome);
        Some(work)
    }

    /// Takes in what was done.
    ///
    /// # Errors
    ///
    /// Those of [`Core::step`].
    pub fn finish_work(&mut self) -> Result<()> {
        match self.under_way.spare.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => {}
            Some(Ok(outcome)) => self.take_spare(outcome),
            Some(Err(TryRecvError::Disconnected)) => self.take_spare(Err(thread_ended())),
        }
        match self.under_way.step.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => Ok(()),
            Some(Ok(outcome)) => self.take_step(outcome),
            Some(Err(TryRecvError::Disconnected)) => self.take_step(Err(thread_ended())),
        }
    }

    /// Waits for the step that is done elsewhere.
    pub(super) fn wait_for_step(&mut self) -> Result<()> {
        match self.under_way.step.as_ref().map(Receiver::recv) {
            None => Ok(()),
            Some(outcome) => self.take_step(outcome.unwrap_or_else(|_| Err(thread_ended()))),
        }
    }

    /// Waits for the segment that is written elsewhere.
    pub(super) fn wait_for_spare(&mut self) {
        let awaited = self.under_way.spare.as_ref().filter(|_| !seeded::is_on(SeededBug::SpareNotAwaited));
        if let Some(outcome) = awaited.map(Receiver::recv) {
            self.take_spare(outcome.unwrap_or_else(|_| Err(thread_ended())));
        }
    }

    fn take_spare(&mut self, outcome: Result<Spare, FileError>) {
        self.under_way.spare = None;
        self.journal.take_in(outcome);
    }
}

fn thread_ended() -> FileError {
    FileError::new("write", "the files of the store", io::Error::other("the thread that writes them ended"))
}
