//! Commits: judged one after another, made durable by one sync, then applied and answered.

use std::sync::{Arc, PoisonError};

use constellation_store_core::{Commit, Committed, ErrorKind, Result, StoreError};
use constellation_store_mem::{Pending, Prepared, VerifiedCommit};

use super::Core;
use crate::error::{FileError, in_one_line};
use crate::journal::AppendError;
use crate::record::Payload;
use crate::seeded::{self, SeededBug};

const OPERATION: &str = "commit";
/// The most bytes that a commit may take in the journal.
const MAX_COMMIT_BYTES: usize = 64 << 20;
/// The memory of a frame is used for the next one if it is not larger.
const KEPT_BYTES: usize = 1 << 20;

/// Why a frame was not written. It is the answer to every commit in it, and to every one that was judged after
/// one in it.
#[derive(Debug)]
enum Failure {
    /// Nothing changed.
    File(FileError),
    /// What was read at the opening cannot be made durable. Nothing changed.
    Unsettled(Arc<StoreError>),
    /// The journal is at its bound, and the files that follow it cannot be written. Nothing changed.
    Backlog(Arc<StoreError>),
    /// The frame may be durable or not.
    OutcomeUnknown(FileError),
}

impl Failure {
    fn to_error(&self) -> StoreError {
        match self {
            Self::File(error) => error.clone().into_store_error(OPERATION),
            Self::Unsettled(error) => {
                let message =
                    "what was found when the store was opened cannot be made durable; see the cause";
                StoreError::new(error.kind(), OPERATION, message).with_source(Arc::clone(error))
            }
            Self::Backlog(error) => {
                let message =
                    "the journal has reached its bound, and the files that follow it cannot be written";
                StoreError::new(ErrorKind::StorageFull, OPERATION, message).with_source(Arc::clone(error))
            }
            Self::OutcomeUnknown(error) => {
                let message =
                    "whether the commit is durable is unknown; open the store again, which settles it";
                StoreError::new(ErrorKind::OutcomeUnknown, OPERATION, message).with_source(error.clone())
            }
        }
    }
}

/// The commits of one frame, judged each after those before it.
struct Batch {
    judged: Vec<Result<Prepared>>,
    /// What they come to, as far as it is not applied.
    pending: Pending,
    payload: Payload,
    /// The first one that changes something. Those from there on are answered when the frame is durable, whatever
    /// the answer: it may be what it is because of a commit that is not durable yet.
    first_change: Option<usize>,
}

impl Core {
    /// Applies a commit, durably.
    ///
    /// # Errors
    ///
    /// Those of [`PipelineStore::commit`](constellation_store_core::PipelineStore::commit).
    pub fn commit(&mut self, commit: &VerifiedCommit) -> Result<Committed> {
        self.commit_batch(std::slice::from_ref(commit)).pop().expect("each commit has an answer")
    }

    /// Applies commits in order, each wholly or not at all, and makes them durable with one sync, or with as few
    /// as their bytes take. Returns the answer to each, in order; by then everything that it says is durable.
    ///
    /// # Errors
    ///
    /// For each commit those of [`Core::commit`]. One that is refused does not disturb the others. When a write
    /// fails, the commits that would have shared it fail alike, and so do those that were judged after them.
    pub fn commit_batch(&mut self, commits: &[VerifiedCommit]) -> Vec<Result<Committed>> {
        let mut answers = Vec::with_capacity(commits.len());
        while answers.len() < commits.len() {
            let rest = &commits[answers.len()..];
            answers.extend(self.commit_frame(rest));
        }
        answers
    }

    /// Answers to as many commits, from the first on, as one frame holds; one at the least.
    fn commit_frame(&mut self, commits: &[VerifiedCommit]) -> Vec<Result<Committed>> {
        if let Err(error) = self.check_lock(OPERATION) {
            return vec![Err(error)];
        }
        if let Err(error) = self.make_good() {
            let failure = Failure::Unsettled(Arc::new(error));
            return commits.iter().map(|_| Err(failure.to_error())).collect();
        }
        let memory = std::mem::take(&mut self.frame);
        let Batch { judged, pending: _, payload, first_change } = self.judge(commits, memory);
        let is_empty = payload.is_empty();
        let mut frame = payload.into_frame();
        let written = if is_empty { Ok(()) } else { self.write_frame(&mut frame) };
        if frame.capacity() <= KEPT_BYTES {
            self.frame = frame;
        }
        let mut state = self.shared.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut answers = Vec::with_capacity(judged.len());
        for (place, judged) in judged.into_iter().enumerate() {
            if let Err(failure) = &written
                && first_change.is_some_and(|first| place >= first)
                && !(seeded::is_on(SeededBug::UnchangedAnsweredEarly) && is_unchanged(&judged))
            {
                if seeded::is_on(SeededBug::AppliedThoughNotWritten) {
                    let _ = judged.map(|prepared| state.apply(prepared));
                }
                answers.push(Err(failure.to_error()));
                continue;
            }
            answers.push(judged.map(|prepared| {
                for change in &prepared.changes {
                    self.dirty.note(change);
                }
                state.apply(prepared)
            }));
        }
        self.shared.health().committed(&state);
        answers
    }

    /// Judges as many commits as fit into a frame, which is made in `memory`.
    fn judge(&self, commits: &[VerifiedCommit], memory: Vec<u8>) -> Batch {
        let bound = usize::try_from(self.options.frame_bytes.min(self.options.backlog_bytes));
        let bound = bound.unwrap_or(usize::MAX);
        let mut batch = Batch {
            judged: Vec::with_capacity(commits.len()),
            pending: Pending::new(),
            payload: Payload::new(memory),
            first_change: None,
        };
        let state = self.shared.state();
        for commit in commits {
            // Only once another one is to be judged: mostly there is none.
            if let Some(Ok(before)) = batch.judged.last()
                && !seeded::is_on(SeededBug::BatchJudgedApart)
            {
                batch.pending.push(before);
            }
            let unconditional =
                seeded::is_on(SeededBug::PreconditionsNotJudged).then(|| unconditional(commit));
            let commit = unconditional.as_ref().and_then(|commit| commit.as_ref().ok()).unwrap_or(commit);
            let judged = match state.prepare_after(&batch.pending, commit, self.options.clock.now()) {
                Ok(prepared) if !prepared.changes.is_empty() => {
                    let is_first = batch.payload.is_empty();
                    let Prepared { revision, changes, outcomes: _ } = &prepared;
                    let bytes = batch.payload.push(*revision, changes, |image| commit.document(image));
                    if bytes > MAX_COMMIT_BYTES {
                        batch.payload.pop(bytes);
                        let message = format!("a commit takes at most {MAX_COMMIT_BYTES} bytes; split it");
                        Err(StoreError::new(ErrorKind::InvalidImage, OPERATION, message).with("bytes", bytes))
                    } else if !is_first && batch.payload.len() > bound {
                        // It is judged again, to the same end, when those before it are applied.
                        batch.payload.pop(bytes);
                        break;
                    } else {
                        batch.first_change.get_or_insert(batch.judged.len());
                        Ok(prepared)
                    }
                }
                judged => judged,
            };
            batch.judged.push(judged);
        }
        batch
    }

    fn write_frame(&mut self, frame: &mut [u8]) -> Result<(), Failure> {
        let written = self.make_room(frame.len() as u64).and_then(|()| self.append(frame));
        self.shared.health().refused = match &written {
            // Of a commit whose outcome is unknown the store says that it only reads.
            Ok(()) | Err(Failure::OutcomeUnknown(_)) => None,
            Err(failure) => {
                Some(format!("the last commit was refused: {}", in_one_line(&failure.to_error())))
            }
        };
        written
    }

    fn append(&mut self, frame: &mut [u8]) -> Result<(), Failure> {
        match self.journal.append(frame) {
            Ok(()) => Ok(()),
            Err(AppendError::NothingChanged(error)) => Err(Failure::File(error)),
            Err(AppendError::OutcomeUnknown(error)) if seeded::is_on(SeededBug::WritesOnAfterFailedSync) => {
                Err(Failure::OutcomeUnknown(error))
            }
            Err(AppendError::OutcomeUnknown(error)) => {
                // What is on disk is unknown, so nothing may be built on it: no frame, and no checkpoint either,
                // which would retire the frame that may be there.
                self.stop_writing(format!(
                    "a write of the journal failed, and only opening the store again settles it: {error}"
                ));
                Err(Failure::OutcomeUnknown(error))
            }
        }
    }

    /// At the bound of the backlog, commits wait for the JSON files.
    fn make_room(&mut self, bytes: u64) -> Result<(), Failure> {
        let is_full = |core: &Self| {
            let backlog = if seeded::is_on(SeededBug::BacklogUnbounded) { 0 } else { core.journal.bytes() };
            backlog > 0 && backlog.saturating_add(bytes) > core.options.backlog_bytes
        };
        while is_full(self) {
            self.begin_checkpoint().map_err(|error| Failure::Backlog(Arc::new(error)))?;
            // What is in the journal is in no checkpoint before it is over.
            while self.is_in_checkpoint() {
                self.step().map_err(|error| Failure::Backlog(Arc::new(error)))?;
            }
            if !self.is_dirty() {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a commit was found to change nothing.
fn is_unchanged(judged: &Result<Prepared>) -> bool {
    judged.as_ref().is_ok_and(|prepared| prepared.changes.is_empty())
}

/// The commit without its preconditions.
fn unconditional(commit: &VerifiedCommit) -> Result<VerifiedCommit> {
    VerifiedCommit::new(Commit { preconditions: Vec::new(), operations: commit.commit().operations.clone() })
}
