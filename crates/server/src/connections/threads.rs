//! Threads that serve connections, each of them those that it was given.
//!
//! In a runtime that several threads share, a request may begin on one and end on another, they wake one another, and
//! what they take turns with moves from processor to processor. A thread that keeps its connections does without, but
//! nobody takes over what it cannot do in time (see `docs/decisions.md`, 104).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// Threads that end when this is dropped, and with them the connections that are left.
#[derive(Debug)]
pub(super) struct ConnectionThreads(Vec<ConnectionThread>);

#[derive(Debug)]
struct ConnectionThread {
    runtime: Handle,
    n_connections: Arc<AtomicUsize>,
    /// Dropped to end the thread.
    _running: oneshot::Sender<()>,
}

/// The place of one connection on a thread, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl ConnectionThreads {
    /// Starts so many threads.
    ///
    /// # Errors
    ///
    /// When the system has no thread or no descriptor left.
    pub(super) fn start(n_threads: usize) -> io::Result<Self> {
        (0..n_threads).map(ConnectionThread::start).collect::<io::Result<_>>().map(Self)
    }

    /// Where the next connection is served: on the thread that has the fewest. None when there are no threads.
    pub(super) fn next(&self) -> Option<(Handle, Place)> {
        let thread = self.0.iter().min_by_key(|thread| thread.n_connections.load(Ordering::Relaxed))?;
        thread.n_connections.fetch_add(1, Ordering::Relaxed);
        Some((thread.runtime.clone(), Place(Arc::clone(&thread.n_connections))))
    }
}

impl ConnectionThread {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel();
        thread::Builder::new().name(format!("connections-{number}")).spawn(move || {
            let _ = runtime.block_on(ended);
            // What it has started on threads that may block is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, n_connections: Arc::default(), _running: running })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_goes_to_the_thread_that_has_the_fewest() {
        let threads = ConnectionThreads::start(3).unwrap();
        let n_connections = || -> Vec<usize> {
            threads.0.iter().map(|thread| thread.n_connections.load(Ordering::Relaxed)).collect()
        };
        let mut places: Vec<Place> = (0..6).map(|_| threads.next().unwrap().1).collect();
        assert_eq!(n_connections(), [2, 2, 2]);
        // Those of the second thread.
        drop(places.remove(4));
        drop(places.remove(1));
        assert_eq!(n_connections(), [2, 0, 2]);
        places.extend((0..3).map(|_| threads.next().unwrap().1));
        assert_eq!(n_connections(), [3, 2, 2]);
        assert!(ConnectionThreads::start(0).unwrap().next().is_none());
    }

    #[test]
    fn what_a_thread_serves_ends_with_it() {
        let threads = ConnectionThreads::start(1).unwrap();
        let (served, mut dropped) = oneshot::channel::<()>();
        let (runtime, _place) = threads.next().unwrap();
        let task = runtime.spawn(async move {
            let name = thread::current().name().map(str::to_owned);
            let _served = served;
            assert_eq!(name.as_deref(), Some("connections-0"));
            std::future::pending::<()>().await;
        });
        assert!(!task.is_finished() && dropped.try_recv().is_err());
        drop(threads);
        assert!(dropped.blocking_recv().is_err());
    }
}
