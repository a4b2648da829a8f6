//! A scripted stand-in for the destination, down to the bytes of HTTP and TCP.
//!
//! It records every request before it answers and does what the test's script says,
//! including what no HTTP library would do: cut an answer in the middle, or give none.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dispatch::{Destination, Endpoint, WriteKey};
use flate2::read::GzDecoder;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub(crate) const SUCCESS: &str = r#"{"success": true}"#;
pub(crate) const WRITE_KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";

/// What the target does with a request.
#[derive(Clone)]
pub(crate) enum Step {
    Answer(Answer),
    /// Answers when the test gives leave, by adding a permit.
    AnswerOnLeave(Answer, Arc<Semaphore>),
    /// Takes the calls and never answers.
    Hang,
    /// Takes the calls and closes the connection without a word.
    DropReply,
    /// Begins an answer of status 200 and resets the connection in its body.
    ResetMidAnswer,
}

#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if !matches!(self.status, 100..=199 | 204 | 304) {
            let length = format!("content-length: {}\r\n", self.body.len());
            bytes.extend_from_slice(length.as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl From<Answer> for Step {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

pub(crate) fn success() -> Step {
    Answer::new(200, SUCCESS).into()
}

pub(crate) fn status(status: u16) -> Step {
    Answer::new(status, "").into()
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) sent_bytes: usize,
    /// Inflated.
    pub(crate) body: String,
    /// Which TCP connection it came over, counted from zero.
    pub(crate) connection: usize,
    /// How many requests, with this one, were waiting for their answer.
    pub(crate) concurrent: usize,
    pub(crate) at: Instant,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn message_ids(&self) -> Vec<String> {
        let calls = self.json()["batch"].as_array().unwrap().clone();
        calls
            .iter()
            .map(|call| call["messageId"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(crate) fn sent_at(&self) -> jiff::Timestamp {
        self.json()["sentAt"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn retry_count(&self) -> Option<&str> {
        self.headers.get("x-retry-count").map(String::as_str)
    }
}

type Script = dyn Fn(usize, &Request) -> Step + Send + Sync;

struct Shared {
    script: Box<Script>,
    requests: watch::Sender<Vec<Request>>,
    in_hand: AtomicUsize,
}

/// A running target; it ends when it is dropped.
pub(crate) struct Target {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

impl Target {
    /// Plays `steps` one per request, and takes whatever comes after them.
    pub(crate) async fn playing(steps: Vec<Step>) -> Self {
        Self::judging(move |nth, _| steps.get(nth).cloned().unwrap_or_else(success)).await
    }

    /// Asks `script` for each request, which is told how many came before it.
    pub(crate) async fn judging(
        script: impl Fn(usize, &Request) -> Step + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: watch::Sender::new(Vec::new()),
            in_hand: AtomicUsize::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    pub(crate) fn destination(&self) -> Destination {
        destination(&format!("http://{}", self.address))
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.borrow().clone()
    }

    /// Waits until `n` requests have come.
    pub(crate) async fn received(&self, n: usize) -> Vec<Request> {
        let mut requests = self.shared.requests.subscribe();
        requests
            .wait_for(|requests| requests.len() >= n)
            .await
            .unwrap()
            .clone()
    }
}

pub(crate) fn destination(endpoint: &str) -> Destination {
    Destination {
        endpoint: Endpoint::parse(endpoint).unwrap(),
        write_key: WriteKey::new(WRITE_KEY),
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(serve(stream, connection, Arc::clone(&shared)));
    }
}

/// Serves one connection until either side closes it.
async fn serve(mut stream: TcpStream, connection: usize, shared: Arc<Shared>) {
    while let Some(mut request) = read(&mut stream, connection).await {
        request.concurrent = shared.in_hand.fetch_add(1, Ordering::SeqCst) + 1;
        let mut nth = 0;
        shared.requests.send_modify(|requests| {
            nth = requests.len();
            requests.push(request.clone());
        });
        let step = (shared.script)(nth, &request);
        if let Step::AnswerOnLeave(_, leave) = &step {
            leave.acquire().await.unwrap().forget();
        }
        // Before the answer: whoever has it may send the next request at once.
        shared.in_hand.fetch_sub(1, Ordering::SeqCst);
        match step {
            Step::Answer(answer) | Step::AnswerOnLeave(answer, _) => {
                if stream.write_all(&answer.bytes()).await.is_err() {
                    return;
                }
            }
            Step::Hang => std::future::pending().await,
            Step::DropReply => return,
            Step::ResetMidAnswer => {
                let half = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{\"succ";
                stream.write_all(half.as_bytes()).await.unwrap();
                stream.set_zero_linger().unwrap();
                return;
            }
        }
    }
}

/// Reads one request; nothing when the client has closed the connection.
async fn read(stream: &mut TcpStream, connection: usize) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if !head[0].is_ascii_uppercase() {
            return None; // not HTTP, probably TLS
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: BTreeMap<_, _> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut sent = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut sent).await.ok()?;
    let mut body = String::new();
    GzDecoder::new(sent.as_slice())
        .read_to_string(&mut body)
        .unwrap();
    let (sent_bytes, at) = (sent.len(), Instant::now());
    Some(Request {
        line,
        headers,
        sent_bytes,
        body,
        connection,
        concurrent: 0,
        at,
    })
}
