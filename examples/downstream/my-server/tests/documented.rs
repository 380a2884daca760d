//! `docs/modules.md` shows this crate, and what it shows works.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../../docs/modules.md");

/// The code blocks of the page in a language, in their order.
fn blocks(language: &str) -> Vec<&'static str> {
    let blocks = PAGE.split("\n```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.split_once('\n'))
        .filter(|(info, _)| *info == language)
        .map(|(_, code)| code)
        .collect()
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_page_shows_the_files_of_this_crate() {
    let manifest = blocks("toml");
    assert_eq!(lines(&manifest.join("\n")), lines(include_str!("../Cargo.toml")));
    let server = blocks("rust,no_run");
    let tests = blocks("rust");
    let tests = tests.iter().filter(|code| code.starts_with("#[cfg(test)]"));
    let main: Vec<&str> = server.iter().chain(tests).copied().collect();
    assert_eq!(lines(&main.join("\n")), lines(include_str!("../src/main.rs")));
    let n_lines = manifest[0].lines().count() + server[0].lines().count();
    assert!(n_lines < 40, "a server of one's own takes {n_lines} lines");
}

/// Stops the server however the test ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server on a port that was free a moment ago.
fn start() -> (Server, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Command::new(env!("CARGO_BIN_EXE_my-server")).arg(address.to_string()).spawn().unwrap();
    let mut server = Server(server);
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(address).is_err() {
        assert!(server.0.try_wait().unwrap().is_none(), "the server ends instead of serving");
        assert!(Instant::now() < deadline, "the server does not serve");
        std::thread::yield_now();
    }
    (server, address)
}

fn post(address: SocketAddr, path: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head ends with an empty line");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// The path and the body of a request of the page.
fn parts(request: &'static str) -> (&'static str, &'static str) {
    let (_, rest) = request.split_once("http://127.0.0.1:8080").unwrap();
    let (path, rest) = rest.split_once(' ').unwrap();
    let (_, body) = rest.split_once("-d '").unwrap();
    (path, body.trim_end().trim_end_matches('\''))
}

#[test]
fn the_server_answers_the_requests_of_the_page() {
    let [run, invoke] = blocks("sh")[..] else { panic!("the page has two requests") };
    let (_server, address) = start();
    let (path, body) = parts(run);
    let answer = post(address, path, body);
    assert_eq!(answer["outputs"], json!({ "cents": 490 }), "{answer}");
    let failed = post(address, path, &body.replace("2.5", "31.5"));
    assert!(failed["error"].as_str().unwrap().contains("no carrier takes 31.5 kg to DE"), "{failed}");

    let (path, body) = parts(invoke);
    let mut answer = post(address, path, body);
    let [shown] = blocks("json")[..] else { panic!("the page has one answer") };
    let shown: Value = serde_json::from_str(shown).unwrap();
    answer["executionId"] = shown["executionId"].clone();
    assert_eq!(answer, shown);
}
