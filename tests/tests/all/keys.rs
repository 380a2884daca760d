//! API keys, hosts and bounds of the store, over real connections to the real binary.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use constellation_tests::{Launch, Server};
use tempfile::TempDir;

const ADMIN: &str = "admn-0123456789abcdef-admn";
const EXECUTE: &str = "exec-0123456789abcdef-exec";

/// The status of a request with these header lines.
fn status(server: &Server, request_line: &str, headers: &[&str], body: &str) -> u16 {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let mut head =
        format!("{request_line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for header in headers {
        head += header;
        head += "\r\n";
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    answer.split(' ').nth(1).expect("a status line").parse().expect("a status is a number")
}

#[test]
fn keys_of_the_environment_and_hashes_of_the_file_open_what_they_are_for() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("key"), format!("{EXECUTE}\n")).unwrap();
    let hashing = Launch::command(directory.path(), "config").args(["hash-key"]);
    let hash = hashing.stdin(File::open(directory.path().join("key")).unwrap()).run().stdout;
    let file = format!("api_keys = [\"{}:Execute\"]\n", hash.trim_end());
    fs::write(directory.path().join("c.toml"), file).unwrap();
    let (admin, execute) =
        (format!("authorization: Bearer {ADMIN}"), format!("authorization: Bearer {EXECUTE}"));
    let (run, compile) =
        (r#"{"source":"in a: Int\nout a","inputs":{"a":1}}"#, r#"{"source":"in a: Int\nout a"}"#);

    let by_file = Launch::new(directory.path()).args(["--memory", "--config", "c.toml"]).start();
    let host = "host: localhost";
    assert_eq!(status(&by_file, "POST /run", &[host, &execute], run), 200);
    assert_eq!(status(&by_file, "POST /compile", &[host, &execute], compile), 403);
    assert_eq!(status(&by_file, "POST /compile", &[host, &admin], compile), 401);
    assert_eq!(status(&by_file, "GET /pipelines", &[host], ""), 401);
    assert_eq!(status(&by_file, "GET /ready", &[], ""), 200);

    let launch = Launch::new(directory.path()).args(["--memory", "--config", "c.toml"]);
    let by_variable = launch.env("CONSTELLATION_API_KEYS", format!("{ADMIN}:admin")).start();
    assert_eq!(status(&by_variable, "POST /compile", &[host, &admin], compile), 200);
    assert_eq!(status(&by_variable, "POST /run", &[host, &execute], run), 401, "the variable wins");
    for server in [&by_file, &by_variable] {
        assert!(!server.stderr().contains(ADMIN) && !server.stderr().contains(EXECUTE));
    }
}

#[test]
fn a_name_that_somebody_else_points_at_the_server_gets_nothing() {
    let directory = TempDir::new().unwrap();
    let launch = Launch::new(directory.path()).args(["--memory"]);
    let server = launch.env("CONSTELLATION_ALLOWED_HOSTS", "api.example.com").start();
    for (headers, expected) in [
        (&["host: localhost"][..], 200),
        (&["host: api.example.com"], 200),
        (&["host: evil.com"], 403),
        (&["host: localhost", "origin: http://evil.com"], 403),
        (&["host: localhost", "host: evil.com"], 400),
        (&[], 400),
    ] {
        assert_eq!(status(&server, "GET /pipelines", headers, ""), expected, "{headers:?}");
        assert_eq!(status(&server, "GET /live", headers, ""), 200, "{headers:?}");
    }
}

#[test]
fn new_programs_past_the_bound_are_refused_and_those_that_are_stored_survive_a_restart() {
    let directory = TempDir::new().unwrap();
    let launch = || Launch::new(directory.path()).args(["--max-stored-images", "1"]);
    let run = |number: u8| format!(r#"{{"source":"in a: Int\nb = a + {number}\nout b","inputs":{{"a":1}}}}"#);
    let host = ["host: localhost"];
    let server = launch().start();
    assert_eq!(status(&server, "POST /run", &host, &run(1)), 200);
    assert_eq!(status(&server, "POST /run", &host, &run(2)), 507);
    drop(server);
    let server = launch().start();
    assert_eq!(status(&server, "POST /run", &host, &run(1)), 200);
    assert_eq!(status(&server, "POST /run", &host, &run(2)), 507);
}
