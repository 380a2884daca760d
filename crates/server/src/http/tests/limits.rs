//! Each limit on a request, one below it, at it, and one beyond.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

use crate::builder::ConstellationServer;
use crate::config::Limits;
use crate::test_support::{get, post, send, server};

/// The least body that is JSON for `/execute`, with so many bytes.
fn body_of(n_bytes: usize) -> String {
    let body = r#"{"ref":"nope","inputs":{}}"#;
    format!("{body}{}", " ".repeat(n_bytes - body.len()))
}

#[tokio::test]
async fn bodies_are_read_up_to_the_limit_however_they_come() {
    const LIMIT: usize = 64 * 1024;
    let limits = Limits { max_body_bytes: LIMIT, ..Limits::default() };
    let router = ConstellationServer::builder(constellation_stdlib::registry())
        .with_limits(limits)
        .build()
        .await
        .unwrap()
        .router();
    for (n_bytes, status) in [(LIMIT - 1, 404), (LIMIT, 404), (LIMIT + 1, 413)] {
        let body = body_of(n_bytes);
        assert_eq!(post(&router, "/execute", &body).await.status, status, "{n_bytes}");
        // Without a length, and with one that is a lie.
        for announced in [None, Some("10")] {
            let chunks: Vec<_> = body.as_bytes().chunks(1000).map(Bytes::copy_from_slice).collect();
            let stream = stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
            let mut request = Request::post("/execute");
            if let Some(announced) = announced {
                request = request.header("content-length", announced);
            }
            let answer = send(&router, request.body(Body::from_stream(stream)).unwrap()).await;
            assert_eq!(answer.status, status, "{n_bytes}, {announced:?}");
        }
    }
}

#[tokio::test]
async fn bodies_that_are_being_read_are_bounded_together() {
    const LARGE: usize = 256 * 1024;
    let limits = Limits { max_buffered_body_bytes: LARGE, ..Limits::default() };
    let builder = ConstellationServer::builder(constellation_stdlib::registry()).with_limits(limits);
    let router = builder.build().await.unwrap().router();
    // It has sent most of its body, and waits.
    let (sent, was_sent) = oneshot::channel();
    let start = stream::once(async move {
        sent.send(()).unwrap();
        Ok::<_, std::io::Error>(Bytes::from(body_of(LARGE)))
    });
    let body = Body::from_stream(start.chain(stream::pending()));
    let waiting = tokio::spawn({
        let router = router.clone();
        async move { send(&router, Request::post("/execute").body(body).unwrap()).await }
    });
    was_sent.await.unwrap();
    let refused = post(&router, "/execute", body_of(LARGE)).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!((&refused.json()["error"], refused.header("retry-after")), (&"Overloaded".into(), Some("1")));
    // Small ones are read meanwhile, and large ones once it is gone.
    assert_eq!(post(&router, "/execute", body_of(64 * 1024)).await.status, 404);
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(post(&router, "/execute", body_of(LARGE)).await.status, 404);
}

/// Real sockets, since it is hyper that lets go of an answer.
#[tokio::test]
async fn answers_that_nobody_takes_are_bounded_together() {
    // More than the system takes off a server's hands for a client with a small buffer.
    const LARGE: usize = 12 * 1024 * 1024;
    let limits = Limits {
        max_buffered_answer_bytes: LARGE,
        max_body_bytes: 2 * LARGE,
        // Longer than it takes to refuse another one.
        write_timeout: Duration::from_secs(4),
        ..Limits::default()
    };
    let builder = ConstellationServer::builder(constellation_stdlib::registry()).with_limits(limits);
    let server = builder.build().await.unwrap();
    let router = server.router();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = tokio::spawn(server.serve(listener, std::future::pending()));
    let body = |n_bytes: usize| {
        serde_json::json!({ "source": "in a: String\nout a", "inputs": { "a": "x".repeat(n_bytes) } })
            .to_string()
    };
    let request = body(LARGE - 1024);
    let reader = TcpSocket::new_v4().unwrap();
    reader.set_recv_buffer_size(64 * 1024).unwrap();
    let mut reader = reader.connect(address).await.unwrap();
    let head = format!("POST /run HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", request.len());
    reader.write_all(head.as_bytes()).await.unwrap();
    reader.write_all(request.as_bytes()).await.unwrap();
    // It reads that the answer comes, and no more of it.
    let mut start = [0; 12];
    reader.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    let refused = post(&router, "/run", &request).await;
    // The run was done, so it is not to be sent again without a thought.
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, None));
    assert_eq!(refused.json()["error"], "AnswerDropped");
    assert_eq!(post(&router, "/run", body(1024)).await.status, 200, "small ones are answered");
    // Once it is cut off there is room again.
    let begin = tokio::time::Instant::now();
    while post(&router, "/run", &request).await.status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.abort();
}

#[tokio::test]
async fn targets_are_read_up_to_the_limit() {
    let router = server().await.router();
    let limit = Limits::default().max_uri_bytes;
    for (n_bytes, status) in [(limit - 1, 404), (limit, 404), (limit + 1, 414)] {
        for start in ["/", "/pipelines/", "/x?y="] {
            let target = format!("{start}{}", "a".repeat(n_bytes - start.len()));
            let answer = get(&router, &target).await;
            // A name of that length is none.
            let status = if start == "/pipelines/" && status == 404 { 400 } else { status };
            assert_eq!(answer.status.as_u16(), status, "{start} {n_bytes}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn json_is_read_down_to_the_limit_of_depth() {
    let router = server().await.router();
    // The body and `inputs` are two of the 127 levels.
    for (depth, is_read) in [(126, true), (127, true), (128, false), (129, false), (400_000, false)] {
        let nested = format!("{}{}", "[".repeat(depth - 2), "]".repeat(depth - 2));
        let answer =
            post(&router, "/execute", format!(r#"{{"ref":"nope","inputs":{{"a":{nested}}}}}"#)).await;
        assert_eq!(answer.status.as_u16(), if is_read { 404 } else { 400 }, "{depth}: {}", answer.text);
    }
    // What no route takes is skipped without recursion, to tell its name.
    let nested = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
    let answer =
        post(&router, "/execute", format!(r#"{{"ref":"nope","inputs":{{}},"other":{nested}}}"#)).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(answer.text.contains("unknown member 'other'"), "{}", answer.text);
}

#[tokio::test]
async fn json_that_is_made_to_hurt_is_an_error() {
    let router = server().await.router();
    for inputs in [
        r#"{"a":1e999999}"#.to_owned(),
        format!(r#"{{"a":{}}}"#, "[".repeat(100_000)),
        r#"{"a":1,"a":2}"#.to_owned(),
        r#"{"a":{"b":1,"b":2}}"#.to_owned(),
        r#"{"a":"\ud800"}"#.to_owned(),
        r#"{"a":NaN}"#.to_owned(),
        r#"{"a":01}"#.to_owned(),
        "{\"a\":\"\u{0}\"}".to_owned(),
    ] {
        let shown: String = inputs.chars().take(40).collect();
        let answer = post(&router, "/execute", format!(r#"{{"ref":"nope","inputs":{inputs}}}"#)).await;
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text);
        assert!(answer.text.len() < 1000, "{shown}: {}", answer.text);
    }
    let twice = r#"{"ref":"nope","ref":"other","inputs":{}}"#;
    assert_eq!(post(&router, "/execute", twice).await.status, 400);
    // Long, and in range.
    let long = format!(r#"{{"ref":"nope","inputs":{{"a":0.{}}}}}"#, "1".repeat(100_000));
    assert_eq!(post(&router, "/execute", long).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_body_has_its_time_however_it_comes() {
    let timeout = Limits::default().body_read_timeout;
    let router = server().await.router();
    for (n_seconds, status) in
        [(timeout.as_secs() - 1, 404), (timeout.as_secs(), 404), (timeout.as_secs() + 1, 408)]
    {
        // A byte each second.
        let body = format!("{}{}", body_of(26), " ".repeat(64));
        let start = body.len() - usize::try_from(n_seconds).unwrap();
        let first = Bytes::copy_from_slice(&body.as_bytes()[..start]);
        let rest = stream::iter(body.as_bytes()[start..].to_vec()).then(|byte| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Bytes::from(vec![byte])
        });
        let body = stream::iter([first]).chain(rest).map(Ok::<_, std::io::Error>);
        let begin = tokio::time::Instant::now();
        let request = Request::post("/execute").body(Body::from_stream(body)).unwrap();
        let answer = send(&router, request).await;
        assert_eq!(answer.status, status, "{n_seconds}: {}", answer.text);
        assert_eq!(begin.elapsed(), timeout.min(Duration::from_secs(n_seconds)));
    }
}

#[tokio::test]
async fn a_server_that_is_to_stop_says_so_before_it_stops_accepting() {
    let limits = Limits { drain_delay: Duration::from_millis(300), ..Limits::default() };
    let server = ConstellationServer::builder(constellation_stdlib::registry())
        .with_limits(limits)
        .build()
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(server.serve(listener, async { drop(stopped.await) }));
    let request = b"GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(request).await.unwrap();
    let mut answer = vec![0; 1024];
    let n_read = kept.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..n_read]);
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{answer}");

    stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    // Connections are still accepted, and each answer asks to go elsewhere: on those that were kept, too.
    let mut new = TcpStream::connect(address).await.unwrap();
    for stream in [&mut kept, &mut new] {
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    running.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
