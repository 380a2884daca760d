//! Real sockets against the accept loop.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake};

use axum::Router;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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
    open: Gauge,
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
            .route("/echo", post(|body: String| async { body }))
            .route("/wait", get(handler));
        let open = Gauge::default();
        let counted = open.clone();
        let served = tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            serve(listener, move || router.clone(), &limits, &counted, stop).await
        });
        Self { address, entered, release, stop, served, open }
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
    // The idle connection is closed soon, although its client never does; the other waits for its answer.
    assert_eq!(read_all(idle).await, "");
    assert!(!fixture.served.is_finished());
    fixture.release.notify_one();
    let answer = read_all(waiting).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
    assert_eq!(fixture.served.await.unwrap(), Drained::Completely);
    assert!(TcpStream::connect(fixture.address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn a_connection_is_counted_for_as_long_as_it_is_open() {
    let fixture = Fixture::start(Limits::default()).await;
    let waiting = fixture.send("GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    fixture.entered.notified().await;
    assert_eq!(fixture.open.get(), 1);
    fixture.release.notify_one();
    assert!(read_all(waiting).await.ends_with("done"));
    let ended = async {
        while fixture.open.get() > 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_secs(30), ended).await.is_ok());
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
        assert_eq!(answer.starts_with("HTTP/1.1 200 OK"), text.ends_with("\r\n\r\n"), "{text:?}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let limits = Limits { max_connections: 1, write_timeout: Duration::from_millis(50), ..Limits::default() };
    let fixture = Fixture::start(limits).await;
    let stalled = fixture.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    // There is room for one connection only: this one is served once the other is gone.
    let next = fixture.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(read_all(next).await.ends_with("hello"));
    drop(stalled);
}

/// A request for `target` with so many headers, whose head has so many bytes.
fn head(target: &str, n_headers: usize, n_bytes: usize) -> String {
    let start = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let others = "a: b\r\n".repeat(n_headers - 3);
    let rest = n_bytes - start.len() - others.len() - "c: \r\n\r\n".len();
    format!("{start}{others}c: {}\r\n\r\n", "d".repeat(rest))
}

/// The default of hyper.
const MAX_HEADERS: usize = 100;

#[tokio::test]
async fn heads_are_bounded() {
    let fixture = Fixture::start(Limits::default()).await;
    for (n_headers, n_bytes, status) in [
        (MAX_HEADERS - 1, 1000, "200"),
        (MAX_HEADERS, 1000, "200"),
        (MAX_HEADERS + 1, 1000, "431"),
        (4, MAX_HEAD_BYTES - 1, "200"),
        (4, MAX_HEAD_BYTES, "200"),
        (4, MAX_HEAD_BYTES + 1, "431"),
    ] {
        let answer = read_all(fixture.send(&head("/", n_headers, n_bytes)).await).await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{n_headers} headers, {n_bytes} bytes: {answer}");
    }
}

/// What a server that is to be smuggled past would read in two ways.
#[tokio::test]
async fn requests_whose_end_is_ambiguous_are_refused_and_the_connection_is_closed() {
    let fixture = Fixture::start(Limits::default()).await;
    for headers in [
        "content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "content-length: 1, 2\r\n\r\nab",
        "content-length: +1\r\n\r\na",
        "content-length: -1\r\n\r\na",
        "content-length: 0x1\r\n\r\na",
        "content-length: 18446744073709551616\r\n\r\na",
        "content-length: \r\n\r\n",
        "transfer-encoding: gzip\r\n\r\na",
        "transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n\r\n0\r\n\r\n",
        "transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "content-length : 1\r\n\r\na",
        "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "a: b\r\n c: d\r\n\r\n",
        " a: b\r\n\r\n",
        "a b: c\r\n\r\n",
        "a\0: c\r\n\r\n",
        "a: b\0\r\n\r\n",
        ": b\r\n\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        let answer = read_all(fixture.send(&request).await).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{headers:?}: {answer}");
    }
    for line in
        ["GET / HTTP/2.0", "GET / HTTP/1.1 x", "GET  / HTTP/1.1", "G\0T / HTTP/1.1", "GET /\x7f HTTP/1.1 "]
    {
        let answer = read_all(fixture.send(&format!("{line}\r\nhost: x\r\n\r\n")).await).await;
        assert!(answer.starts_with("HTTP/1.1 4") || answer.is_empty(), "{line:?}: {answer}");
    }
}

/// The chunks count, as RFC 9112 has it, and nothing after them on this connection does.
#[tokio::test]
async fn a_request_with_two_kinds_of_length_is_the_last_of_its_connection() {
    let fixture = Fixture::start(Limits::default()).await;
    for headers in [
        "content-length: 1\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 1\r\n",
        "content-length: 70\r\ntransfer-encoding: chunked\r\n",
    ] {
        let request = format!(
            "POST /echo HTTP/1.1\r\nhost: x\r\n{headers}\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\
             host: x\r\n\r\n"
        );
        let answer = read_all(fixture.send(&request).await).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("abc"), "{headers:?}: {answer}");
        assert!(answer.contains("connection: close"), "{headers:?}: {answer}");
    }
}

#[tokio::test]
async fn a_malformed_chunk_ends_the_connection_without_another_request() {
    let fixture = Fixture::start(Limits::default()).await;
    for body in
        ["x\r\n", "1;a\nb\r\nc\r\n0\r\n\r\n", "1\r\nabc\r\n0\r\n\r\n", "-1\r\n", "ffffffffffffffffff\r\n"]
    {
        let request = format!(
            "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{body}GET / HTTP/1.1\r\n\
             host: x\r\n\r\n"
        );
        let answer = read_all(fixture.send(&request).await).await;
        assert!(!answer.contains("hello") && !answer.contains("200 OK"), "{body:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_has_its_time_from_its_first_byte_however_it_comes() {
    const TIMEOUT: Duration = Duration::from_millis(400);
    let limits = Limits { header_read_timeout: TIMEOUT, ..Limits::default() };
    let fixture = Fixture::start(limits).await;
    // A byte now and then does not make it longer.
    let mut slow = fixture.send("GET / HTTP/1.1\r\n").await;
    let start = tokio::time::Instant::now();
    while start.elapsed() < TIMEOUT * 10 && slow.write_all(b"a").await.is_ok() {
        tokio::time::sleep(TIMEOUT / 20).await;
    }
    assert!(start.elapsed() >= TIMEOUT / 2 && start.elapsed() < TIMEOUT * 10, "{:?}", start.elapsed());
    // One that comes in parts, but in time, is read.
    let mut parts = fixture.send("GET / HTTP/1.1\r\n").await;
    tokio::time::sleep(TIMEOUT / 8).await;
    parts.write_all(b"host: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(read_all(parts).await.ends_with("hello"));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_whole_in_time_is_answered_and_one_a_moment_later_is_not() {
    const MOMENT: Duration = Duration::from_millis(1);
    let limits = Limits::default();
    let timeout = limits.header_read_timeout;
    let router = Router::new().route("/", get(|| async { "hello" }));
    for (delay, is_answered) in [(timeout.saturating_sub(MOMENT), true), (timeout + MOMENT, false)] {
        let (stream, mut client) = tokio::io::duplex(4096);
        let router = router.clone();
        let connections = Connections::new(move || router.clone(), &limits, &Gauge::default());
        let service = service(Arc::clone(&connections.routers));
        let stream = TokioIo::new(ImpatientStream::new(stream, limits.write_timeout));
        let served = tokio::spawn(connections.http().serve_connection(stream, service));
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        sleep(delay).await;
        let rest = client.write_all(b"host: x\r\nconnection: close\r\n\r\n").await;
        assert_eq!(rest.is_ok(), is_answered, "{delay:?}: {rest:?}");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.ends_with("hello"), is_answered, "{delay:?}: {answer}");
        assert_eq!(served.await.unwrap().is_ok(), is_answered);
    }
}

#[tokio::test]
async fn a_request_with_a_body_is_answered_in_one_poll() {
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let router = Router::new().route("/echo", post(|body: String| async { body }));
    let connections = Connections::new(move || router.clone(), &Limits::default(), &Gauge::default());
    let (stream, mut client) = tokio::io::duplex(4096);
    let service = service(Arc::clone(&connections.routers));
    let connection = connections.http().serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serve_quietly(connection));
    let counter = Arc::new(Wakes::default());
    let waker = Arc::clone(&counter).into();
    for _ in 0..3 {
        client.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
        let before = counter.0.load(Ordering::Relaxed);
        assert!(serving.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(counter.0.load(Ordering::Relaxed), before);
        let mut answer = [0; 512];
        let n_read = client.read(&mut answer).await.unwrap();
        assert!(answer[..n_read].ends_with(b"\r\n\r\nhello"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_gives_each_head_its_time() {
    const TIMEOUT: Duration = Duration::from_millis(400);
    let limits = Limits { header_read_timeout: TIMEOUT, ..Limits::default() };
    let fixture = Fixture::start(limits).await;
    let mut kept = fixture.send("").await;
    // Together longer than one of them may take.
    for _ in 0..4 {
        tokio::time::sleep(TIMEOUT / 3).await;
        kept.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 512];
        let n_read = kept.read(&mut answer).await.unwrap();
        assert!(answer[..n_read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(read_all(kept).await, "", "then it is closed");
}

#[tokio::test]
async fn a_request_that_arrived_before_the_end_is_answered() {
    for _ in 0..50 {
        let fixture = Fixture::start(Limits::default()).await;
        let mut sent = Vec::new();
        for _ in 0..8 {
            sent.push(fixture.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await);
        }
        // Some of them are not even accepted yet.
        fixture.stop.send(()).unwrap();
        for stream in sent {
            let answer = read_all(stream).await;
            assert!(answer.ends_with("hello"), "{answer:?}");
        }
        assert_eq!(fixture.served.await.unwrap(), Drained::Completely);
    }
}

#[tokio::test]
async fn connections_are_served_up_to_the_limit_and_one_more_waits() {
    const LIMIT: usize = 3;
    let limits = Limits { max_connections: LIMIT, ..Limits::default() };
    let fixture = Fixture::start(limits).await;
    let mut served = Vec::new();
    for _ in 0..LIMIT {
        served.push(fixture.send("GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await);
        fixture.entered.notified().await;
    }
    let one_more = fixture.send("GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let entered = tokio::time::timeout(Duration::from_millis(50), fixture.entered.notified()).await;
    assert!(entered.is_err(), "it waits in the queue of the system");
    fixture.release.notify_one();
    fixture.entered.notified().await;
    for _ in 0..LIMIT {
        fixture.release.notify_one();
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for stream in served.into_iter().chain([one_more]) {
        assert!(read_all(stream).await.ends_with("done"));
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

#[test]
fn threads_do_not_share_a_router() {
    let n_made = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&n_made);
    let routers = Routers::new(move || made.fetch_add(1, Ordering::Relaxed));
    // Each is there until all have theirs: a thread may get that of one that has ended.
    let barrier = std::sync::Barrier::new(3);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                assert!(std::ptr::eq(routers.of_this_thread(), routers.of_this_thread()));
                barrier.wait();
            });
        }
    });
    assert_eq!(n_made.load(Ordering::Relaxed), 3);
}
