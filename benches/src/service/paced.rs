//! Load at a rate that does not wait for answers.
//!
//! Generators that run on an asynchronous runtime wake up once a millisecond, which is several times what an answer
//! takes. Here each connection has a thread that sleeps until its next request is due.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use constellation_benches::statistics::Summary;

use crate::connection::{Connection, host_of, post};

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
    let host = host_of(url)?;
    let request = post(host, path, body);
    let start = Instant::now() + HEAD_START;
    let interval = Duration::from_secs_f64(1.0 / requests_a_second);
    let latencies = thread::scope(|scope| {
        let connect = |number| {
            let request = &*request;
            scope.spawn(move || -> anyhow::Result<Vec<f64>> {
                let mut connection = Connection::open(host)?;
                let mut latencies = Vec::new();
                let mut due = start + interval * number;
                while due < start + duration {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let status = connection.ask(request)?;
                    ensure!(status == 200, "an answer was {status}");
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
