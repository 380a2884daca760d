//! The accept loop: bounds on connections and on waiting for requests, and an end that loses none of them.
//!
//! `axum::serve` sets no time limit on the head of a request, so that a client who sends nothing holds a
//! connection for ever.

mod stream;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::config::Limits;
use stream::ImpatientStream;

/// Heads of requests: at most so many headers, in a buffer of at most so many bytes.
const MAX_HEADERS: usize = 100;
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long to wait after the system refused a connection, for lack of file descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

/// Serves until `stop` completes, then waits for the requests under way.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    stop: impl Future<Output = ()>,
) -> Drained {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(limits.max_connections));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    let mut connections = tokio::task::JoinSet::new();
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
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // An answer is one small write; waiting for more to send only delays it.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let service = TowerToHyperService::new(router.clone());
        let stream = ImpatientStream::new(stream, limits.write_timeout);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    // From here on the system refuses connections.
    drop(listener);
    if tokio::time::timeout(limits.drain_deadline, graceful.shutdown()).await.is_ok() {
        return Drained::Completely;
    }
    while connections.try_join_next().is_some() {}
    // Dropping the set ends the connections.
    Drained::Deadline { connections: connections.len() }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;

    use super::*;

    /// A server with one route that answers when it is told to.
    struct Fixture {
        address: SocketAddr,
        entered: Arc<Notify>,
        release: Arc<Notify>,
        stop: oneshot::Sender<()>,
        served: JoinHandle<Drained>,
    }

    impl Fixture {
        async fn start(limits: Limits) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
            let (stop, stopped) = oneshot::channel();
            let handler = {
                let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
                move || async move {
                    entered.notify_one();
                    release.notified().await;
                    "done"
                }
            };
            let router = Router::new()
                .route("/", get(|| async { "hello" }))
                // More than the system takes off a server's hands for a client that does not read.
                .route("/large", get(|| async { "x".repeat(64 * 1024 * 1024) }))
                .route("/wait", get(handler));
            let served =
                tokio::spawn(
                    async move { serve(listener, router, &limits, async { drop(stopped.await) }).await },
                );
            Self { address, entered, release, stop, served }
        }

        async fn send(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }
    }

    async fn read_all(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_before_the_server_stops() {
        let fixture = Fixture::start(Limits::default()).await;
        let idle = fixture.send("").await;
        let waiting = fixture.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
        fixture.entered.notified().await;
        fixture.stop.send(()).unwrap();
        // The idle connection is closed at once, although its client never does; the other waits for its answer.
        assert_eq!(read_all(idle).await, "");
        assert!(!fixture.served.is_finished());
        fixture.release.notify_one();
        let answer = read_all(waiting).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
        assert_eq!(fixture.served.await.unwrap(), Drained::Completely);
        assert!(TcpStream::connect(fixture.address).await.is_err(), "the listener is closed");
    }

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_cut_at_the_deadline() {
        let limits = Limits { drain_deadline: Duration::from_millis(50), ..Limits::default() };
        let fixture = Fixture::start(limits).await;
        let waiting = fixture.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
        fixture.entered.notified().await;
        fixture.stop.send(()).unwrap();
        assert_eq!(read_all(waiting).await, "");
        assert_eq!(fixture.served.await.unwrap(), Drained::Deadline { connections: 1 });
    }

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_request_is_cut_off() {
        let limits = Limits { header_read_timeout: Duration::from_millis(50), ..Limits::default() };
        let fixture = Fixture::start(limits).await;
        for text in ["", "GET / HTTP/1.1\r\nhost:", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let answer = read_all(fixture.send(text).await).await;
            assert_eq!(
                answer.starts_with("HTTP/1.1 200 OK"),
                text.ends_with("\r\n\r\n"),
                "{text:?}: {answer}"
            );
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_take_its_answer_is_cut_off() {
        let limits =
            Limits { max_connections: 1, write_timeout: Duration::from_millis(50), ..Limits::default() };
        let fixture = Fixture::start(limits).await;
        let stalled = fixture.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
        // There is room for one connection only: this one is served once the other is gone.
        let next = fixture.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(read_all(next).await.ends_with("hello"));
        drop(stalled);
    }

    #[tokio::test]
    async fn heads_are_bounded() {
        let fixture = Fixture::start(Limits::default()).await;
        let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
        let long = format!("a: {}\r\n", "b".repeat(MAX_HEAD_BYTES));
        for headers in [many, long] {
            let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
            let answer = read_all(fixture.send(&request).await).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_connection_past_the_limit_waits_for_its_turn() {
        let limits = Limits { max_connections: 1, ..Limits::default() };
        let fixture = Fixture::start(limits).await;
        let first = fixture.send("GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        fixture.entered.notified().await;
        let second = fixture.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let second = tokio::spawn(read_all(second));
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        fixture.release.notify_one();
        assert!(read_all(first).await.ends_with("done"));
        assert!(second.await.unwrap().ends_with("hello"));
    }
}
