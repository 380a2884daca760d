//! The accept loop: bounds on connections and on waiting for requests, and an end that loses none of them.
//!
//! `axum::serve` sets no time limit on the head of a request, so that a client who sends nothing holds a
//! connection for ever.

mod alarm;
mod stream;
mod wakes;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use prometheus_client::metrics::gauge::Gauge;
use thread_local::ThreadLocal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::config::Limits;
use alarm::Alarm;
use stream::ImpatientStream;
use wakes::{Quiet, serve_quietly};

/// Heads of requests have at most so many bytes. They have at most 100 headers, which is hyper's default: when it is
/// told a number, be it the same, it fills its lists of headers one by one for each request.
pub(crate) const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long to wait after the system refused a connection, for lack of file descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a client that has connected may take to say something once the server is to stop. Its request may be on
/// the way; an answer to it costs less than an error that it cannot explain.
const LAST_CALL: Duration = Duration::from_millis(100);

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// Every request under way was answered.
    Completely,
    /// The deadline passed with so many connections open; they were closed.
    Deadline {
        /// Connections that were closed.
        connections: usize,
    },
}

/// Serves until `stop` completes, then waits for the requests under way. `open` counts the connections, and
/// `make_router` makes what answers requests.
pub(crate) async fn serve<R: Answers>(
    listener: TcpListener,
    make_router: impl Fn() -> R + Send + Sync + 'static,
    limits: &Limits,
    open: &Gauge,
    stop: impl Future<Output = ()>,
) -> Drained {
    let permits = Arc::new(Semaphore::new(limits.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = Connections::new(make_router, limits, open);
    let mut stop = std::pin::pin!(stop);
    loop {
        // Before accepting: a connection that cannot be served stays in the queue of the system.
        let permit = tokio::select! {
            biased;
            () = &mut stop => break,
            permit = Arc::clone(&permits).acquire_owned() => permit.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.tasks.join_next(), if !connections.tasks.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => connections.begin(stream, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Who is in the queue of the system believes to be connected.
    while let Ok(permit) = Arc::clone(&permits).try_acquire_owned()
        && let Poll::Ready(Ok((stream, _))) = poll_fn(|ctx| Poll::Ready(listener.poll_accept(ctx))).await
    {
        connections.begin(stream, permit);
    }
    // From here on the system refuses connections.
    drop(listener);
    connections.drain(limits.drain_deadline).await
}

/// A connection that is open, until this is dropped.
struct Counted(Gauge);

impl Counted {
    fn new(open: &Gauge) -> Self {
        open.inc();
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What answers requests.
pub(crate) trait Answers:
    tower::Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Send + 'static
{
}

impl<R> Answers for R where
    R: tower::Service<Request<Body>, Response = Response, Error = Infallible, Future: Send> + Send + 'static
{
}

/// The connections of a server.
struct Connections<R: Send> {
    open: Gauge,
    tasks: JoinSet<()>,
    graceful: GracefulShutdown,
    /// Dropped when the server is to stop.
    serving: watch::Sender<()>,
    builder: http1::Builder,
    routers: Arc<Routers<R>>,
    header_read_timeout: Duration,
    write_timeout: Duration,
}

impl<R: Answers> Connections<R> {
    fn new(make_router: impl Fn() -> R + Send + Sync + 'static, limits: &Limits, open: &Gauge) -> Self {
        let mut builder = http1::Builder::new();
        builder.header_read_timeout(limits.header_read_timeout).max_buf_size(MAX_HEAD_BYTES);
        Self {
            open: open.clone(),
            tasks: JoinSet::new(),
            graceful: GracefulShutdown::new(),
            serving: watch::Sender::new(()),
            builder,
            routers: Arc::new(Routers::new(make_router)),
            header_read_timeout: limits.header_read_timeout,
            write_timeout: limits.write_timeout,
        }
    }

    /// What serves one connection.
    fn http(&self) -> http1::Builder {
        let mut builder = self.builder.clone();
        builder.timer(Alarm::new(self.header_read_timeout));
        builder
    }

    /// Serves a connection. It holds its permit until it ends.
    fn begin(&mut self, stream: TcpStream, permit: OwnedSemaphorePermit) {
        // An answer is one small write; waiting for more to send only delays it.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let (builder, service) = (self.http(), service(Arc::clone(&self.routers)));
        let (watcher, serving) = (self.graceful.watcher(), self.serving.subscribe());
        let (first_byte_timeout, write_timeout) = (self.header_read_timeout, self.write_timeout);
        let counted = Counted::new(&self.open);
        self.tasks.spawn(serve_quietly(async move {
            let _held = (permit, counted);
            // Who has said nothing costs no more than a socket.
            if !has_said_something(&stream, first_byte_timeout, serving).await {
                return;
            }
            let stream = ImpatientStream::new(stream, write_timeout);
            let mut connection = builder.serve_connection(TokioIo::new(stream), service);
            // A connection of which nothing was read yet would be closed at once when the server is to stop.
            let first = poll_fn(|ctx| Poll::Ready(Pin::new(&mut connection).poll(ctx))).await;
            let ended = match first {
                Poll::Ready(ended) => ended,
                Poll::Pending => watcher.watch(connection).await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        }));
    }

    /// Waits until every request under way is answered, or the deadline passes.
    async fn drain(self, deadline: Duration) -> Drained {
        let Self { mut tasks, graceful, serving, .. } = self;
        drop(serving);
        if timeout(deadline, graceful.shutdown()).await.is_ok() {
            return Drained::Completely;
        }
        while tasks.try_join_next().is_some() {}
        // Dropping the set ends the connections.
        Drained::Deadline { connections: tasks.len() }
    }
}

/// Routers, one for each thread that serves. A router and its state are cloned and dropped several times for each request;
/// threads that counted these clones in one place would wait for each other.
struct Routers<R: Send> {
    make: Box<dyn Fn() -> R + Send + Sync>,
    by_thread: ThreadLocal<RefCell<R>>,
}

impl<R: Send> Routers<R> {
    fn new(make: impl Fn() -> R + Send + Sync + 'static) -> Self {
        Self { make: Box::new(make), by_thread: ThreadLocal::new() }
    }

    fn of_this_thread(&self) -> &RefCell<R> {
        self.by_thread.get_or(|| RefCell::new((self.make)()))
    }
}

/// What answers the requests of a connection.
fn service<R: Answers>(
    routers: Arc<Routers<R>>,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> {
    service_fn(move |request: Request<Incoming>| {
        let body = |body: Incoming| if body.is_end_stream() { Body::empty() } else { Body::new(Quiet(body)) };
        routers.of_this_thread().borrow_mut().call(request.map(body))
    })
}

/// Whether something can be read, the end included, before the time is over or the server is to stop.
async fn has_said_something(
    stream: &TcpStream,
    patience: Duration,
    mut serving: watch::Receiver<()>,
) -> bool {
    let last_call = async {
        // It never changes, and ends when the server is to stop.
        while serving.changed().await.is_ok() {}
        sleep(LAST_CALL).await;
    };
    let mut first = [0];
    tokio::select! {
        biased;
        // Readiness alone may be a false alarm.
        peeked = stream.peek(&mut first) => peeked.is_ok(),
        () = sleep(patience) => false,
        () = last_call => false,
    }
}

#[cfg(test)]
mod tests;
