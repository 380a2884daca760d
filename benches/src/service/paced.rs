//! Load at a rate that does not wait for answers.
//!
//! Generators that run on an asynchronous runtime wake up once a millisecond, which is several times what an answer
//! takes. Here each connection has a thread that sleeps until its next request is due.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use constellation_benches::statistics::Summary;

/// Until all connections are there.
const HEAD_START: Duration = Duration::from_millis(100);

/// How long answers to one `POST` take when so many are sent a second, spread over connections, in microseconds. Each is
/// counted from when its request was due, so that what keeps a request waiting counts.
pub(crate) fn latencies(
    url: &str,
    path: &str,
    body: &str,
    connections: u32,
    requests_a_second: f64,
    duration: Duration,
) -> anyhow::Result<Summary> {
    let host = url.strip_prefix("http://").context("the URL begins with http://")?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let start = Instant::now() + HEAD_START;
    let interval = Duration::from_secs_f64(1.0 / requests_a_second);
    let latencies = thread::scope(|scope| {
        let connect = |number| {
            let request = request.as_bytes();
            scope.spawn(move || -> anyhow::Result<Vec<f64>> {
                let mut connection = Connection::open(host)?;
                let mut latencies = Vec::new();
                let mut due = start + interval * number;
                while due < start + duration {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    connection.ask(request)?;
                    latencies.push(due.elapsed().as_secs_f64() * 1e6);
                    due += interval * connections;
                }
                Ok(latencies)
            })
        };
        let threads: Vec<_> = (0..connections).map(connect).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| anyhow!("a connection panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    Summary::of(&latencies).context("nothing was sent")
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(host: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(host).with_context(|| format!("connecting to {host}"))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and reads its answer.
    fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        let Self(stream) = self;
        stream.get_mut().write_all(request)?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 200 "), "the answer was {line:?}");
        let mut length = None;
        while line != "\r\n" {
            line.clear();
            ensure!(stream.read_line(&mut line)? > 0, "the answer ended in its head");
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>()?);
            }
        }
        let mut body = vec![0; length.context("the answer has no length")?];
        stream.read_exact(&mut body)?;
        Ok(())
    }
}
