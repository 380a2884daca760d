//! Whoever has the core: the thread of the store, which commits what was left for it, or a caller that commits on its
//! own thread.

use std::ops::ControlFlow;
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use constellation_store_core::{Committed, ErrorKind, Result, StoreError};
use constellation_store_mem::VerifiedCommit;
use futures_channel::oneshot;

use crate::core::{Core, Lost, Mirror, Work};

/// The most commits that are answered together.
const MAX_BATCH: usize = 1024;

/// What is asked of the thread.
pub(crate) enum Request {
    Commit(VerifiedCommit, oneshot::Sender<Answer>),
    /// What a reader found to be lost.
    PutAside(Lost, Sender<()>),
    /// A file that a check suspects.
    LookAt(Mirror, Sender<()>),
    /// Something happened elsewhere: a step of a checkpoint was done, a segment was made, or a caller committed.
    Look,
    /// The store is dropped.
    Abandon,
    Close(oneshot::Sender<Result<()>>),
}

/// The answer to a commit, and the commit, whose memory is given back where it was taken: elsewhere that takes longer,
/// and what takes long on the thread that commits, everybody waits for.
pub(crate) type Answer = (Result<Committed>, VerifiedCommit);

/// A commit that waits for its answer.
type Waiting = (VerifiedCommit, oneshot::Sender<Answer>);

/// Where requests are left.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: Sender<Request>,
    /// How many requests are there that the thread has not begun with.
    n_waiting: Arc<AtomicUsize>,
}

/// Where the thread finds them.
pub(crate) struct Queued {
    receiver: Receiver<Request>,
    n_waiting: Arc<AtomicUsize>,
}

impl Queue {
    pub(crate) fn new() -> (Self, Queued) {
        let (sender, receiver) = channel();
        let n_waiting = Arc::<AtomicUsize>::default();
        (Self { sender, n_waiting: Arc::clone(&n_waiting) }, Queued { receiver, n_waiting })
    }

    /// # Errors
    ///
    /// The thread has ended.
    pub(crate) fn send(&self, request: Request) -> Result<(), SendError<Request>> {
        self.n_waiting.fetch_add(1, Ordering::Relaxed);
        self.sender.send(request)
    }
}

impl Queued {
    /// Something was taken out, and is begun with.
    fn begun(&self) {
        self.n_waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// The commits that share what the first one waits for: those that are there already, since waiting for more would
    /// cost more than it saves. Also the first request after them that is none.
    fn gather(&self, first: Waiting) -> (Vec<Waiting>, Option<Request>) {
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH {
            let request = match self.receiver.try_recv() {
                Ok(request) => request,
                // When everybody is gone, the next look tells it again.
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            };
            self.begun();
            match request {
                Request::Commit(commit, reply) => batch.push((commit, reply)),
                other => return (batch, Some(other)),
            }
        }
        (batch, None)
    }
}

/// The core, and what goes on beside its commits.
struct Writing {
    core: Core,
    /// Does what is not done where commits are made. It ends with this.
    files: Sender<Work>,
    /// Whether a checkpoint failed. That is in the status. It is tried again after a pause, or at the bound of the
    /// backlog, and commits go on meanwhile.
    has_failed: bool,
    /// How many commits there were, so that a pause is known without a clock.
    n_commits: u64,
    /// Whether the thread waits for a pause.
    is_watched: bool,
}

impl Writing {
    /// Answers to commits, each with its own.
    fn commit(&mut self, commits: &[VerifiedCommit]) -> Vec<Result<Committed>> {
        let answers = self.core.commit_batch(commits);
        self.n_commits += 1;
        self.has_failed &= self.core.is_checkpoint_due();
        answers
    }

    /// Takes in what was done elsewhere, and hands out what is to be done there.
    fn tend(&mut self) {
        loop {
            self.has_failed |= self.core.finish_work().is_err();
            if let Some(work) = self.core.next_spare() {
                // If the thread ended with a defect, commits write zeros themselves.
                let _ = self.files.send(work);
            }
            let Some(work) = self.core.next_work() else { return };
            match self.files.send(work) {
                Ok(()) => return,
                // The thread ended with a defect; commits then wait for files.
                Err(unsent) => unsent.0.run(),
            }
        }
    }

    fn wants_checkpoint(&self) -> bool {
        self.core.is_checkpoint_due() && !self.has_failed && !self.core.is_in_checkpoint()
    }

    fn begin_checkpoint(&mut self) {
        self.has_failed = self.core.begin_checkpoint().is_err();
    }

    /// Whether files would follow after a pause.
    fn is_to_be_watched(&self) -> bool {
        self.core.is_dirty() && !self.core.is_in_checkpoint()
    }

    fn answer(&mut self, request: Request, queued: &Queued) -> ControlFlow<()> {
        let request = match request {
            Request::Commit(commit, reply) => {
                let (batch, other) = queued.gather((commit, reply));
                self.commit_all(batch);
                other
            }
            other => Some(other),
        };
        match request {
            None | Some(Request::Commit(..) | Request::Look) => {}
            Some(Request::PutAside(lost, reply)) => {
                self.core.put_aside(&lost);
                let _ = reply.send(());
            }
            Some(Request::LookAt(mirror, reply)) => {
                self.core.look_at(&mirror);
                let _ = reply.send(());
            }
            Some(Request::Close(reply)) => {
                let _ = reply.send(self.core.close());
                return ControlFlow::Break(());
            }
            Some(Request::Abandon) => {
                self.core.abandon();
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn commit_all(&mut self, batch: Vec<Waiting>) {
        let (commits, replies): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let answers = self.commit(&commits);
        for ((reply, answer), commit) in replies.into_iter().zip(answers).zip(commits) {
            // Whoever asked may have gone; the commit is made all the same.
            let _ = reply.send((answer, commit));
        }
    }
}

/// What the thread and the callers take turns with. Nothing is there once the thread has ended.
type Turns = Mutex<Option<Writing>>;

/// Takes away what is there when the thread ends, also with a defect, so that the lock of the store is given up.
struct End(Arc<Turns>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What the thread does: it commits, and lets another one write the files. It ends when a caller's commit has ended with
/// a defect.
fn run(turns: &Turns, queued: &Queued, idle: Duration) {
    let Ok(mut turn) = turns.lock() else { return };
    loop {
        let Some(writing) = &mut *turn else { return };
        writing.tend();
        if writing.wants_checkpoint() {
            writing.begin_checkpoint();
            writing.tend();
        }
        writing.is_watched = writing.is_to_be_watched();
        let (is_watched, n_commits) = (writing.is_watched, writing.n_commits);
        drop(turn);
        let request = if is_watched {
            match queued.receiver.recv_timeout(idle) {
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Request::Abandon),
                Ok(request) => Some(request),
            }
        } else {
            Some(queued.receiver.recv().unwrap_or(Request::Abandon))
        };
        // Until it waits again: a caller that came in between would not see that it is about to.
        turn = match turns.lock() {
            Ok(turn) => turn,
            Err(_) => return,
        };
        let Some(writing) = &mut *turn else { return };
        match request {
            Some(request) => {
                queued.begun();
                if writing.answer(request, queued).is_break() {
                    return;
                }
            }
            None if writing.n_commits == n_commits => writing.begin_checkpoint(),
            // A caller committed meanwhile.
            None => {}
        }
    }
}

/// Asks the thread, which ends with it.
pub(crate) struct Writer {
    turns: Arc<Turns>,
    queue: Mutex<Option<Queue>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread, which has the files follow when there was no commit for `idle`.
    pub(crate) fn start(core: Core, queue: Queue, queued: Queued, idle: Duration) -> Result<Self> {
        let (files, work) = channel::<Work>();
        let done = queue.clone();
        start_thread("constellation-store-files", move || {
            for work in work {
                work.run();
                let _ = done.send(Request::Look);
            }
        })?;
        let writing = Writing { core, files, has_failed: false, n_commits: 0, is_watched: false };
        let turns = Arc::new(Mutex::new(Some(writing)));
        let end = End(Arc::clone(&turns));
        let thread = start_thread("constellation-store", move || run(&end.0, &queued, idle))?;
        Ok(Self { turns, queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Leaves a request; tells whether the thread is there to take it.
    pub(crate) fn send(&self, request: Request) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().is_some_and(|queue| queue.send(request).is_ok())
    }

    /// Commits on this thread, if nobody else has the core or waits for it.
    pub(crate) fn commit_here(&self, commit: &VerifiedCommit) -> Option<Result<Committed>> {
        if self.has_waiting() {
            return None;
        }
        // Where a commit has ended with a defect, the thread tells it.
        let mut turn = self.turns.try_lock().ok()?;
        let writing = turn.as_mut()?;
        let answer = writing.commit(slice::from_ref(commit)).pop().expect("each commit has an answer");
        writing.tend();
        let is_news = writing.wants_checkpoint() || (writing.is_to_be_watched() && !writing.is_watched);
        drop(turn);
        if is_news {
            self.send(Request::Look);
        }
        Some(answer)
    }

    /// Whether somebody was there first.
    fn has_waiting(&self) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().is_some_and(|queue| queue.n_waiting.load(Ordering::Relaxed) > 0)
    }

    /// Waits for what is under way, and gives up the lock.
    pub(crate) fn stop(&self) {
        if let Some(queue) = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = queue.send(Request::Abandon);
        }
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // If it panicked, the panic was told when it happened.
            let _ = thread.join();
        }
    }
}

/// Starts a thread of the store.
pub(crate) fn start_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
        let message = "no thread can be started for it";
        StoreError::new(ErrorKind::Unavailable, "open store", message).with_source(error)
    })
}
