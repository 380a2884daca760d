//! What operators rely on: signals, locks, logs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use constellation_tests::{Launch, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

#[test]
fn a_signal_ends_the_server_in_order() {
    for signal in ["TERM", "INT"] {
        let directory = TempDir::new().unwrap();
        let server = Launch::new(directory.path()).start();
        server.compile("p", "in a: Int\nout a");
        assert_eq!(server.get("/ready").json(), json!({ "status": "ready" }));
        // A connection that its client keeps open must not keep the server.
        let mut idle = TcpStream::connect(server.address()).unwrap();
        let url = server.url().to_owned();
        let exited = server.signal(signal);
        assert_eq!(exited.status.code(), Some(0), "{signal}: {}", exited.stderr);
        assert_eq!(exited.stdout, format!("listening on {url}\n"), "one line, and nothing else");
        assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0, "the connection is closed");

        // A store that was closed in order has all in its JSON files.
        let aliases = std::fs::read(directory.path().join(".constellation-store/aliases.json")).unwrap();
        let aliases: Value = serde_json::from_slice(&aliases).unwrap();
        assert_eq!(aliases.as_object().unwrap().len(), 1);
    }
}

#[test]
fn a_standard_error_that_nobody_reads_does_not_matter() {
    let directory = TempDir::new().unwrap();
    for format in ["text", "json"] {
        let launch = Launch::new(directory.path()).args(["--log-format", format]).with_closed_stderr();
        let server = launch.env("RUST_LOG", "debug").start();
        server.compile("p", "in a: Int\nout a");
        assert_eq!(server.execute("p", &json!({ "a": 1 })), json!({ "a": 1 }));
        assert_eq!(server.signal("TERM").status.code(), Some(0), "{format}");
    }
}

/// A run whose body is not sent yet, so that it is under way for as long as the test wants.
fn start_request(server: &Server) -> (TcpStream, &'static str) {
    let body = r#"{"source":"in a: Int\nb = a + 1\nout b","inputs":{"a":41}}"#;
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let head = format!(
        "POST /run HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("the server reads");
    // The server asks for the body when its handler reads it.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("the server answers");
    assert_eq!(&answer, b"HTTP/1.1 100");
    (stream, body)
}

#[test]
fn a_request_under_way_is_answered_and_its_effect_is_kept() {
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).start();
    let (mut stream, body) = start_request(&server);
    server.send_signal("TERM");
    server.wait_until("it is stopping", |server| server.stderr().contains("stopping"));
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 200 OK") && answer.contains(r#""outputs":{"b":42}"#), "{answer}");
    let exited = server.wait_for_exit();
    assert_eq!(exited.status.code(), Some(0), "{}", exited.stderr);

    let server = Launch::new(directory.path()).start();
    assert_eq!(server.metric("constellation_store_images"), 1);
}

#[test]
fn a_second_signal_does_not_wait() {
    for signal in ["TERM", "INT"] {
        let directory = TempDir::new().unwrap();
        let server = Launch::new(directory.path()).start();
        server.compile("p", "in a: Int\nout a");
        let (stream, _body) = start_request(&server);
        server.send_signal(signal);
        server.wait_until("it is stopping", |server| server.stderr().contains("stopping"));
        let exited = server.signal(signal);
        assert_eq!(exited.status.code(), Some(1), "{signal}: {}", exited.stderr);
        drop(stream);
        let server = Launch::new(directory.path()).start();
        let outputs = server.execute("p", &json!({ "a": 1 }));
        assert_eq!(outputs, json!({ "a": 1 }), "{signal}: nothing acknowledged is lost");
    }
}

#[test]
fn a_second_process_on_a_store_is_refused() {
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).start();
    let refused = Launch::new(directory.path()).args(["--listen", "127.0.0.1:0"]).run();
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains(".constellation-store"), "{}", refused.stderr);
    assert!(refused.stderr.contains("another process"), "{}", refused.stderr);
    assert_eq!(server.get("/ready").status, 200, "the first one is not disturbed");
    server.kill();
    // A process that was killed leaves no lock behind.
    Launch::new(directory.path()).start();
}

#[test]
fn an_address_that_is_taken_is_told() {
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path()).args(["--memory"]).start();
    let exited = Launch::new(directory.path()).args(["--memory", "--listen", server.address()]).run();
    assert_eq!(exited.status.code(), Some(1));
    assert!(exited.stderr.contains(server.address()), "{}", exited.stderr);
    assert!(exited.stderr.contains("--listen"), "{}", exited.stderr);
}

#[test]
fn json_logs_are_one_object_a_line() {
    let directory = TempDir::new().unwrap();
    let server = Launch::new(directory.path())
        .args(["--log-format", "json", "--memory"])
        .env("RUST_LOG", "debug")
        .start();
    server.compile("p", "@example(1)\nin a: Int\nout a");
    let exited = server.signal("TERM");
    assert!(!exited.stderr.is_empty());
    for line in exited.stderr.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["level"].is_string(), "{line}");
    }
}

/// A part of what is logged of [`run_with_a_warning`].
const WARNING: &str = "no cache backend of this name";

/// Runs a program of whose run a warning is logged, as the request `order-17`. The answer.
fn run_with_a_warning(address: &str) -> Value {
    // A cache that is not there is told of from within the run.
    let source = "in a: String\nb = Uppercase(a) with cache: 1min, cache_backend: \"nowhere\"\nout b";
    let body = json!({ "source": source, "inputs": { "a": "x" } }).to_string();
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let head = "POST /run HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-request-id: order-17";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    assert!(answer.contains("x-request-id: order-17\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    serde_json::from_str(body).expect("the body is JSON")
}

#[test]
fn a_line_that_is_logged_of_a_request_tells_which() {
    let directory = TempDir::new().unwrap();
    let logged = |format: &str| {
        let launch = Launch::new(directory.path()).args(["--log-format", format, "--memory"]);
        let server = launch.start();
        run_with_a_warning(server.address());
        let exited = server.signal("TERM");
        let line = exited.stderr.lines().find(|line| line.contains(WARNING));
        line.unwrap_or_else(|| panic!("{WARNING} is not in {}", exited.stderr)).to_owned()
    };
    let text = logged("text");
    let request = "request.id=\"order-17\" request.method=\"POST\" request.route=\"/run\"";
    assert!(text.ends_with(request) && text.contains(" WARN "), "{text}");
    let line: Value = serde_json::from_str(&logged("json")).unwrap();
    assert_eq!(line["request"], json!({ "id": "order-17", "method": "POST", "route": "/run" }));
    assert!(line["fields"]["message"].as_str().unwrap().contains(WARNING), "{line}");
}

#[test]
fn what_is_logged_of_a_run_carries_the_ids_of_the_request_and_the_run() {
    let directory = TempDir::new().unwrap();
    let launch = Launch::new(directory.path()).args(["--log-format", "json", "--memory"]);
    let server = launch.env("RUST_LOG", "debug").start();
    let answer = run_with_a_warning(server.address());
    let run_id = &answer["executionId"];
    assert!(run_id.is_string(), "{answer}");

    let exited = server.signal("TERM");
    let lines: Vec<Value> = exited.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line_with = |text: &str| {
        let line =
            lines.iter().find(|line| line["fields"]["message"].as_str().is_some_and(|m| m.contains(text)));
        line.unwrap_or_else(|| panic!("{text} is not in {}", exited.stderr))
    };
    let spans = line_with(WARNING)["spans"].as_array().unwrap();
    assert_eq!((&spans[0]["name"], &spans[0]["id"]), (&json!("request"), &json!("order-17")));
    assert!(spans.iter().any(|span| span["name"] == "run" && span["run_id"] == *run_id), "{spans:?}");
    assert_eq!(line_with("answered")["spans"][0]["id"], "order-17");
}

#[test]
fn help_and_version_are_answers() {
    let directory = TempDir::new().unwrap();
    let help = Launch::new(directory.path()).args(["--help"]).run();
    assert_eq!(help.status.code(), Some(0));
    for word in [
        "--store",
        "--memory",
        "--pipelines",
        "--recursive",
        "--fail-on-error",
        "--alias-strategy",
        "--listen",
        "--demo-modules",
        "--insecure",
        "--log-format",
        "CONSTELLATION_STORE",
        "CONSTELLATION_LISTEN",
        "CONSTELLATION_PORT",
        "CONSTELLATION_PIPELINE_DIR",
        "CONSTELLATION_PIPELINE_RECURSIVE",
        "CONSTELLATION_PIPELINE_FAIL_ON_ERROR",
        "CONSTELLATION_PIPELINE_ALIAS_STRATEGY",
        "CONSTELLATION_DEMO_MODULES",
    ] {
        assert!(help.stdout.contains(word), "{word} is not in\n{}", help.stdout);
    }
}
