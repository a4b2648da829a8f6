//! Requests without a port, and a bare client for those that need a socket.

use std::{net::SocketAddr, time::Duration};

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use emulator::segment::{ClockStart, Config, Segment};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub(crate) const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";
/// Long enough to never be reached, short enough to end a broken test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A segment whose clock stands still.
pub(crate) fn frozen(at: &str) -> Segment {
    Segment::new(Config {
        clock: ClockStart::FrozenAt(at.parse().unwrap()),
        seed: Some(7),
        ..Config::default()
    })
}

pub(crate) fn segment() -> Segment {
    frozen("2022-05-09T21:27:03.384Z")
}

pub(crate) fn basic(user: &str) -> String {
    format!("Basic {}", STANDARD.encode(user))
}

/// A call with a person and a name, and `extra` members.
pub(crate) fn call(extra: &str) -> String {
    let comma = if extra.is_empty() { "" } else { "," };
    format!(r#"{{"type":"track","event":"Email Opened","userId":"person-1"{comma}{extra}}}"#)
}

pub(crate) fn batch(calls: &[String]) -> String {
    format!(r#"{{"writeKey":"{KEY}","batch":[{}]}}"#, calls.join(","))
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The message of an error, after checking its envelope.
    pub(crate) fn refusal(&self) -> String {
        assert_eq!(self.status, StatusCode::BAD_REQUEST, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        assert_eq!(body["success"], false);
        assert_eq!(body["code"], "invalid_request");
        assert_eq!(body.as_object().unwrap().len(), 3);
        body["message"].as_str().unwrap().to_owned()
    }

    pub(crate) fn assert_success(&self) {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        assert_eq!(self.text(), r#"{"success": true}"#);
        assert_eq!(self.header("content-type"), Some("application/json"));
    }
}

pub(crate) async fn send(segment: &Segment, request: Request<Body>) -> Reply {
    let response = segment.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes().to_vec(),
    }
}

pub(crate) async fn post(segment: &Segment, path: &str, body: impl Into<Body>) -> Reply {
    send(segment, Request::post(path).body(body.into()).unwrap()).await
}

/// Posts with the test's key in Basic.
pub(crate) async fn post_keyed(segment: &Segment, path: &str, body: impl Into<Body>) -> Reply {
    let request = Request::post(path).header("authorization", basic(&format!("{KEY}:")));
    send(segment, request.body(body.into()).unwrap()).await
}

pub(crate) async fn get(segment: &Segment, path: &str) -> Reply {
    send(segment, Request::get(path).body(Body::empty()).unwrap()).await
}

/// The debugger's view of the only stored call.
pub(crate) fn only_view(segment: &Segment) -> Value {
    let calls = segment.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    serde_json::from_str(&calls[0].to_json()).unwrap()
}

/// A segment behind a real socket.
pub(crate) struct Served {
    pub(crate) segment: Segment,
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    tasks: JoinSet<std::io::Result<()>>,
}

impl Served {
    pub(crate) async fn start(segment: Segment) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(segment.clone().run(listener, stop.clone()));
        Self {
            segment,
            address,
            stop,
            tasks,
        }
    }

    /// Posts a batch on a connection of its own and reads to the end of it.
    pub(crate) async fn post(&self, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!(
            "POST /v1/batch HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len(),
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match stream.read(&mut chunk).await {
                Ok(0) => return Ok(String::from_utf8(answer).unwrap()),
                Ok(n) => answer.extend_from_slice(&chunk[..n]),
                // What came before the reset is part of what a test looks at.
                Err(error) if answer.is_empty() => return Err(error),
                Err(error) => {
                    let heard = String::from_utf8(answer).unwrap();
                    return Err(std::io::Error::new(error.kind(), heard));
                }
            }
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.tasks.join_next()).await;
        ended.expect("the server ends").unwrap().unwrap().unwrap();
    }
}
