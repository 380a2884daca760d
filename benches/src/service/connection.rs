//! A connection that sends the next request when it has read the answer to the one before.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, ensure};

#[derive(Debug)]
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(host: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(host).with_context(|| format!("connecting to {host}"))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request, reads its answer, and gives its status.
    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        let Self(stream) = self;
        stream.get_mut().write_all(request)?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|line| line.split(' ').next());
        let status = status.with_context(|| format!("the answer was {line:?}"))?.parse()?;
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
        Ok(status)
    }
}

/// Where a URL leads to.
pub(crate) fn host_of(url: &str) -> anyhow::Result<&str> {
    url.strip_prefix("http://").context("the URL begins with http://")
}

/// A request as bytes.
pub(crate) fn post(host: &str, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}"
    );
    format!("{head}\r\n\r\n{body}").into_bytes()
}

/// A request without a body as bytes.
pub(crate) fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes()
}
