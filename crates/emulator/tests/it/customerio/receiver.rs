//! A receiver that answers by script and remembers what it got.

use std::{
    collections::VecDeque,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use emulator::customerio::{Event, Progress, Report, Sender};
use http::{HeaderMap, StatusCode, header::LOCATION};
use tokio::{net::TcpListener, sync::Barrier, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// What a receiver does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    Status(u16),
    Never,
    /// 200, once so many requests are there together.
    Together(Arc<Barrier>),
    Redirect,
}

#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Memory {
    script: VecDeque<Reply>,
    /// Bodies with this text get 503 for ever.
    poison: Option<String>,
    received: Vec<Received>,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    memory: Arc<Mutex<Memory>>,
    pub(crate) url: String,
    _server: Arc<JoinSet<std::io::Result<()>>>,
}

impl Receiver {
    /// Answers by `script`, then with 200.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let memory = Arc::new(Mutex::new(Memory {
            script: script.into_iter().collect(),
            ..Memory::default()
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks/test", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&memory));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await });
        Self {
            memory,
            url,
            _server: Arc::new(server),
        }
    }

    pub(crate) fn poison(&self, text: &str) {
        self.memory.lock().unwrap().poison = Some(text.to_owned());
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.memory.lock().unwrap().received.clone()
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.received()
            .iter()
            .map(|received| received.text().to_owned())
            .collect()
    }

    /// A sender to this receiver, whose hours pass in a millisecond.
    pub(crate) fn sender(&self) -> Sender {
        Sender {
            time_scale: 3_600_000.try_into().unwrap(),
            timeout: Duration::from_secs(30),
            ..Sender::new(self.url.as_str())
        }
    }
}

async fn answer(
    State(memory): State<Arc<Mutex<Memory>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let reply = {
        let mut memory = memory.lock().unwrap();
        let received = Received { headers, body };
        let poisoned = memory
            .poison
            .as_ref()
            .is_some_and(|text| received.text().contains(text));
        memory.received.push(received);
        if poisoned {
            Reply::Status(503)
        } else {
            memory.script.pop_front().unwrap_or(Reply::Status(200))
        }
    };
    match reply {
        Reply::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Reply::Never => pending().await,
        Reply::Together(barrier) => {
            barrier.wait().await;
            StatusCode::OK.into_response()
        }
        Reply::Redirect => (StatusCode::FOUND, [(LOCATION, "/elsewhere")]).into_response(),
    }
}

/// Events `{"n":0}`, `{"n":1}`, ...
pub(crate) fn numbered(count: usize) -> Vec<Event> {
    (0..count).map(|n| Event::new(body(n))).collect()
}

pub(crate) fn body(n: usize) -> String {
    format!(r#"{{"n":{n}}}"#)
}

/// Sends to the end and returns the report with all that was observed.
pub(crate) async fn watch(sender: &Sender, events: Vec<Event>) -> (Report, Vec<Progress>) {
    let mut seen = Vec::new();
    let observe = |progress| seen.push(progress);
    let report = sender
        .run_observed(events, CancellationToken::new(), observe)
        .await
        .unwrap();
    (report, seen)
}
