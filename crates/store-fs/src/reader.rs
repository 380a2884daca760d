//! The thread that reads images and sources at their first use, and checks the files meanwhile.
//!
//! It keeps file accesses away from the threads of an async executor.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use constellation_store_core::{PipelineImage, Result, SourceHash, StructuralHash};
use futures_channel::oneshot;

use crate::core::{Checker, Loaded, Loader, Lost, Mirror, Suspect};
use crate::store::closed;
use crate::writer::{Queue, Request as WriterRequest, start_thread};

enum Request {
    Image(StructuralHash, Reply<Arc<PipelineImage>>),
    Peek(StructuralHash, Reply<Arc<PipelineImage>>),
    Source(SourceHash, Reply<Arc<str>>),
}

type Reply<T> = oneshot::Sender<Result<Option<T>>>;

/// Between two checks no request has to come in so many parts of the time, one after another or not: each request
/// only lengthens the part that it comes in, and nothing has to ask what time it is.
const PAUSES: u32 = 24;

/// When the files are checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checks {
    /// How long nobody has asked for anything before the first check.
    pub(crate) after: Duration,
    /// How long after a check the next one begins.
    pub(crate) every: Duration,
}

/// Asks the thread, which ends with it.
pub(crate) struct Reader {
    requests: Mutex<Option<Sender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// Starts the thread. What is lost is told to `writer`. It checks the files as often as
    /// `checks` says.
    pub(crate) fn start(loader: Loader, writer: Queue, checks: Option<Checks>) -> Result<Self> {
        let (sender, receiver) = channel();
        let thread = start_thread("constellation-store-reader", move || {
            Work { loader, writer }.run(&receiver, checks);
        })?;
        Ok(Self { requests: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    pub(crate) async fn image(&self, hash: StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        self.ask("get image", |reply| Request::Image(hash, reply)).await
    }

    /// An image that is not kept in memory.
    pub(crate) async fn peek(&self, hash: StructuralHash) -> Result<Option<Arc<PipelineImage>>> {
        self.ask("look at image", |reply| Request::Peek(hash, reply)).await
    }

    pub(crate) async fn source(&self, hash: SourceHash) -> Result<Option<Arc<str>>> {
        self.ask("read source", |reply| Request::Source(hash, reply)).await
    }

    async fn ask<T>(
        &self,
        operation: &'static str,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<Option<T>> {
        let (reply, answer) = oneshot::channel();
        let is_sent = {
            let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.as_ref().is_some_and(|requests| requests.send(request(reply)).is_ok())
        };
        if !is_sent {
            return Err(closed(operation));
        }
        answer.await.unwrap_or_else(|_| Err(closed(operation)))
    }

    /// Waits for what is under way.
    pub(crate) fn stop(&self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // If it panicked, the panic was told when it happened.
            let _ = thread.join();
        }
    }
}

struct Work {
    loader: Loader,
    writer: Queue,
}

impl Work {
    fn run(&self, requests: &Receiver<Request>, checks: Option<Checks>) {
        let mut checker: Option<Checker> = None;
        // How often there has to be no request for how long before the next check.
        let mut pause = checks.map(|checks| (1, checks.after));
        loop {
            let request = match (&mut checker, &mut pause) {
                (Some(started), _) => match requests.try_recv() {
                    Err(TryRecvError::Empty) => {
                        match started.step() {
                            Some(Suspect::Lost(lost)) => self.put_aside(lost),
                            Some(Suspect::Mirror(mirror)) => self.look_at(mirror),
                            None => {}
                        }
                        if started.is_done() {
                            checker = None;
                            pause = checks.map(|checks| (PAUSES, checks.every / PAUSES));
                        }
                        continue;
                    }
                    Err(TryRecvError::Disconnected) => return,
                    Ok(request) => request,
                },
                (None, Some((left, pause))) => match requests.recv_timeout(*pause) {
                    Err(RecvTimeoutError::Timeout) => {
                        *left -= 1;
                        if *left == 0 {
                            checker = Some(Checker::new(self.loader.clone()));
                        }
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                    Ok(request) => request,
                },
                (None, None) => match requests.recv() {
                    Err(_) => return,
                    Ok(request) => request,
                },
            };
            // Whoever asked may have gone.
            match request {
                Request::Image(hash, reply) => {
                    let _ = reply.send(self.answer("get image", self.loader.image(&hash)));
                }
                Request::Peek(hash, reply) => {
                    let _ = reply.send(self.answer("look at image", self.loader.peek_image(&hash)));
                }
                Request::Source(hash, reply) => {
                    let _ = reply.send(self.answer("read source", self.loader.source(&hash)));
                }
            }
        }
    }

    fn answer<T>(&self, operation: &'static str, loaded: Result<Loaded<T>>) -> Result<Option<T>> {
        if self.loader.is_closed() {
            return Err(closed(operation));
        }
        match loaded? {
            Loaded::There(found) => Ok(Some(found)),
            Loaded::Absent => Ok(None),
            Loaded::Lost(lost) => {
                let error = lost.to_error();
                self.put_aside(lost);
                Err(error)
            }
        }
    }

    /// Waits until the writer has put it aside, so that whoever learns that it is lost can store it again.
    fn put_aside(&self, lost: Lost) {
        self.tell(|reply| WriterRequest::PutAside(lost, reply));
    }

    /// Lets the writer judge, so that one file after another is looked at twice.
    fn look_at(&self, mirror: Mirror) {
        self.tell(|reply| WriterRequest::LookAt(mirror, reply));
    }

    fn tell(&self, request: impl FnOnce(Sender<()>) -> WriterRequest) {
        let (reply, done) = channel();
        if self.writer.send(request(reply)).is_ok() {
            // No answer means that the store was closed.
            let _ = done.recv();
        }
    }
}
