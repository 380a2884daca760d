//! Work on many files at once.
//!
//! **Must not know:** what is done to them.

use std::panic::resume_unwind;
use std::thread;

/// From how many files on they are worth threads of their own. Below, everything is done in order, by who asked for it.
pub(crate) const MANY_FILES: usize = 256;

/// What `work` makes of each part, in order. Each has a thread of its own, unless there is but one.
pub(crate) fn each<P: Send, T: Send>(
    parts: impl ExactSizeIterator<Item = P>,
    work: impl Fn(P) -> T + Sync,
) -> Vec<T> {
    if parts.len() < 2 {
        return parts.map(work).collect();
    }
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let done =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.collect()
    })
}

/// What both make, or the failure of the first that fails. If there is `much` to do, the second one has a thread of its
/// own.
pub(crate) fn both<A, B: Send, E: Send>(
    much: bool,
    first: impl FnOnce() -> Result<A, E>,
    second: impl FnOnce() -> Result<B, E> + Send,
) -> Result<(A, B), E> {
    if !much {
        return Ok((first()?, second()?));
    }
    thread::scope(|scope| {
        let second = scope.spawn(second);
        let first = first();
        let second = second.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok((first?, second?))
    })
}
