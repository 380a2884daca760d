//! Clients that are slow on purpose take sockets, and nothing from those who are not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use constellation_tests::{Launch, Server, is_nightly};
use serde_json::json;
use tempfile::TempDir;

const N_GOOD: usize = 4;

/// How a client is slow.
#[derive(Debug, Clone, Copy)]
enum Slow {
    /// It says nothing.
    Silent,
    /// Its head comes byte by byte.
    Head,
    /// Its body does.
    Body,
    /// It does not read its answer.
    Reader,
}

impl Slow {
    /// One in thirty does not read: each of those holds an answer of megabytes.
    fn of(number: usize) -> Self {
        match number % 30 {
            0 => Self::Reader,
            n if n % 3 == 0 => Self::Silent,
            n if n % 3 == 1 => Self::Head,
            _ => Self::Body,
        }
    }

    fn start(self, server: &Server) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(server.address()).ok()?;
        let request = match self {
            Self::Silent => String::new(),
            Self::Head => "GET /live HTTP/1.1\r\nhost: localhost\r\nx: ".to_owned(),
            Self::Body => {
                "POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n".to_owned()
            }
            Self::Reader => {
                let text = "x".repeat(4 * 1024 * 1024);
                let body = json!({ "source": "in a: String\nout a", "inputs": { "a": text } }).to_string();
                format!(
                    "POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
        };
        stream.write_all(request.as_bytes()).ok()?;
        Some(stream)
    }

    /// Whether the connection still stands, after one more byte where there are more.
    fn goes_on(self, stream: &mut TcpStream) -> bool {
        match self {
            Self::Head | Self::Body => stream.write_all(b" ").is_ok(),
            Self::Silent | Self::Reader => true,
        }
    }
}

/// Keeps so many slow connections open until it is over; who is cut off comes again.
fn attack(server: &Server, n_slow: usize, n_open: &AtomicUsize, is_over: &AtomicBool) {
    let mut streams: Vec<Option<TcpStream>> = (0..n_slow).map(|_| None).collect();
    while !is_over.load(Ordering::Relaxed) {
        let round = Instant::now();
        for (number, stream) in streams.iter_mut().enumerate() {
            let slow = Slow::of(number);
            if !stream.as_mut().is_some_and(|stream| slow.goes_on(stream)) {
                *stream = slow.start(server);
            }
            if is_over.load(Ordering::Relaxed) {
                return;
            }
        }
        n_open.store(streams.iter().flatten().count(), Ordering::Relaxed);
        thread::sleep(Duration::from_millis(500).saturating_sub(round.elapsed()));
    }
}

/// What good clients wait for at most, but for one in a hundred. Each of their requests is answered.
fn p99(server: &Server, n_each: usize) -> Duration {
    let measure = || {
        let run = || {
            let start = Instant::now();
            assert_eq!(server.execute("p", &json!({ "a": 1 })), json!({ "b": 2 }));
            start.elapsed()
        };
        (0..n_each).map(|_| run()).collect::<Vec<_>>()
    };
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..N_GOOD).map(|_| scope.spawn(measure)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

fn resident_bytes(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Ends the attack also when a check fails, which would wait for it forever otherwise.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn slow_clients_do_not_keep_others_from_being_served() {
    let n_slow = if is_nightly() { 2000 } else { 200 };
    let n_each = if is_nightly() { 1000 } else { 100 };
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).start();
    server.compile("p", "in a: Int\nb = a + 1\nout b");
    p99(&server, n_each);
    let baseline = (0..3).map(|_| p99(&server, n_each)).min().unwrap();
    let (n_open, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (under_attack, n_bytes) = thread::scope(|scope| {
        let _over = Over(&is_over);
        scope.spawn(|| attack(&server, n_slow, &n_open, &is_over));
        server.wait_until("under attack", |_| n_open.load(Ordering::Relaxed) >= n_slow * 9 / 10);
        let under_attack = (0..3).map(|_| p99(&server, n_each)).min().unwrap();
        (under_attack, resident_bytes(&server))
    });
    println!("{n_slow} slow clients: p99 {baseline:?}, then {under_attack:?}; {n_bytes} bytes resident");
    // One that shares its processors with other tests tells nothing of time.
    if is_nightly() {
        assert!(under_attack < 2 * baseline.max(Duration::from_millis(1)), "{baseline:?}, {under_attack:?}");
    }
    // Two thousand connections, and 67 answers of four megabytes that nobody reads, in their two forms.
    assert!(n_bytes < 1024 * 1024 * 1024, "{n_bytes} bytes");
    assert_eq!(server.signal("TERM").status.code(), Some(0));
}
