//! The route, without a port: what each request is answered, and what is stored.

#![cfg(test)]

mod signatures;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, StatusCode};
use jiff::Timestamp;
use journal::{Affinity, Config, Entry, Journal, Place, ReadLimit, Seq};
use receive::{Intake, Limits, Receipt, Signature, SigningKey, Workspace, router};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt as _;

const VENDOR_KEY: &str = "signing-secret";
const VENDOR_TIMESTAMP: &str = "1614265384";
const VENDOR_BODY: &str = r#"{"event_id":"abc","object_type":"email","metric":"delivered"}"#;
const VENDOR_SIGNATURE: &str = "6f55cf23f9b73a2ff07733fe04421f64ce9ec5e409696edda6b2a80311944230";

/// A route over a journal in a temporary folder.
struct Stage {
    journal: Journal,
    router: Router,
    _dir: TempDir,
}

impl Stage {
    async fn set(signature: Signature) -> Stage {
        Stage::with(Workspace {
            name: "acme".into(),
            signature,
            timestamp_tolerance: None,
        })
        .await
    }

    async fn with(workspace: Workspace) -> Stage {
        let dir = TempDir::new().unwrap();
        let journal = Journal::open(Config::for_tests(dir.path())).await.unwrap();
        let workspaces = Arc::new([workspace].into_iter().collect());
        let (_, workspaces) = watch::channel(workspaces);
        let limits = Limits {
            body_bytes: 1_000,
            body_time: Duration::from_millis(50),
            bodies_bytes: 4_000,
        };
        let intake = Intake {
            journal: journal.clone(),
            workspaces,
            limits,
            affinity: |_| Affinity::default(),
            now: Timestamp::now,
        };
        Stage {
            journal,
            router: router(intake),
            _dir: dir,
        }
    }

    async fn ask(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The bodies that are in the journal.
    async fn stored(&self) -> Vec<Bytes> {
        let partition = self.journal.partitions().next().unwrap();
        let limit = ReadLimit {
            records: 100,
            bytes: 1 << 20,
        };
        let from = Place {
            partition,
            seq: Seq::FIRST,
        };
        let entries = self.journal.read(from, limit).await.unwrap();
        let body = |entry| match entry {
            Entry::Record(record) => record.body,
            Entry::Erased(_) | Entry::Damaged { .. } => panic!("a fresh journal has no damage"),
        };
        entries.into_iter().map(body).collect()
    }
}

fn one_key() -> Signature {
    Signature::Keys(vec![SigningKey::new(VENDOR_KEY)])
}

fn post(headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let request = Request::post("/webhooks/acme");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    request.body(body.into()).unwrap()
}

fn vendor_headers() -> [(&'static str, &'static str); 2] {
    [
        ("X-CIO-Timestamp", VENDOR_TIMESTAMP),
        ("X-CIO-Signature", VENDOR_SIGNATURE),
    ]
}

#[tokio::test]
async fn a_200_comes_after_the_bytes_are_in_the_journal_as_they_were_sent() {
    let stage = Stage::set(one_key()).await;
    let answer = stage.ask(post(&vendor_headers(), VENDOR_BODY)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(stage.stored().await, [VENDOR_BODY]);
    let receipt = answer.extensions().get::<Receipt>().unwrap();
    assert_eq!(receipt.answer.label(), "journaled");
    assert_eq!(receipt.workspace.as_deref(), Some("acme"));
}

#[tokio::test]
async fn the_record_says_which_key_verified_it_without_revealing_it() {
    let keys = vec![SigningKey::new("another"), SigningKey::new(VENDOR_KEY)];
    let id = keys[1].id().to_string();
    let stage = Stage::set(Signature::Keys(keys)).await;
    stage.ask(post(&vendor_headers(), VENDOR_BODY)).await;
    let partition = stage.journal.partitions().next().unwrap();
    let record = stage
        .journal
        .record(Place {
            partition,
            seq: Seq::FIRST,
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.signed_by.as_deref(), Some(id.as_str()));
    assert!(!format!("{:?}", SigningKey::new(VENDOR_KEY)).contains(VENDOR_KEY));
}

#[tokio::test]
async fn what_is_not_authentic_is_never_stored() {
    let stage = Stage::set(one_key()).await;
    let cases: [&[(&str, &str)]; 4] = [
        &[],
        &[("X-CIO-Timestamp", VENDOR_TIMESTAMP)],
        &[("X-CIO-Signature", VENDOR_SIGNATURE)],
        &[
            ("X-CIO-Timestamp", VENDOR_TIMESTAMP),
            ("X-CIO-Signature", "6f55"),
        ],
    ];
    for headers in cases {
        let answer = stage.ask(post(headers, VENDOR_BODY)).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{headers:?}");
    }
    let changed = stage
        .ask(post(&vendor_headers(), VENDOR_BODY.replace("abc", "abd")))
        .await;
    assert_eq!(changed.status(), StatusCode::UNAUTHORIZED);
    assert!(stage.stored().await.is_empty());
}

#[tokio::test]
async fn a_header_that_stands_twice_or_in_odd_case_counts() {
    let stage = Stage::set(one_key()).await;
    let joined = format!("{VENDOR_SIGNATURE}, {VENDOR_SIGNATURE}");
    let upper = VENDOR_SIGNATURE.to_uppercase();
    let cases: [&[(&str, &str)]; 4] = [
        &[
            ("x-CIO-timestamp", VENDOR_TIMESTAMP),
            ("X-Cio-Signature", VENDOR_SIGNATURE),
            ("x-cio-signature", VENDOR_SIGNATURE),
        ],
        &[
            ("X-CIO-Timestamp", "17"),
            ("X-CIO-Timestamp", VENDOR_TIMESTAMP),
            ("X-CIO-Signature", VENDOR_SIGNATURE),
        ],
        &[
            ("X-CIO-TIMESTAMP", VENDOR_TIMESTAMP),
            ("X-CIO-SIGNATURE", &joined),
        ],
        &[
            ("X-CIO-Timestamp", VENDOR_TIMESTAMP),
            ("X-CIO-Signature", &upper),
        ],
    ];
    for headers in cases {
        let answer = stage.ask(post(headers, VENDOR_BODY)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{headers:?}");
    }
}

#[tokio::test]
async fn without_signatures_everything_is_taken() {
    let stage = Stage::set(Signature::Off).await;
    assert_eq!(
        stage.ask(post(&[], "anything")).await.status(),
        StatusCode::OK
    );
    assert_eq!(stage.stored().await, ["anything"]);
}

#[tokio::test]
async fn a_tolerance_refuses_what_was_signed_too_long_ago_and_is_off_by_default() {
    let tolerance = Some(Duration::from_mins(5));
    let workspace = Workspace {
        name: "acme".into(),
        signature: one_key(),
        timestamp_tolerance: tolerance,
    };
    let stage = Stage::with(workspace).await;
    let answer = stage.ask(post(&vendor_headers(), VENDOR_BODY)).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let receipt = answer.extensions().get::<Receipt>().unwrap();
    assert_eq!(receipt.answer.label(), "refused");
    assert!(stage.stored().await.is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_whether_announced_or_not() {
    let stage = Stage::set(Signature::Off).await;
    let announced = post(&[], "x".repeat(1_001));
    assert_eq!(
        stage.ask(announced).await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let fits = post(&[], "x".repeat(1_000));
    assert_eq!(stage.ask(fits).await.status(), StatusCode::OK);
    assert_eq!(stage.stored().await.len(), 1);
}

#[tokio::test]
async fn a_body_that_never_ends_is_408_when_its_time_is_up() {
    let stage = Stage::set(Signature::Off).await;
    let never = Body::new(Endless(None));
    assert_eq!(
        stage.ask(post(&[], never)).await.status(),
        StatusCode::REQUEST_TIMEOUT
    );
    assert!(stage.stored().await.is_empty());
}

#[tokio::test]
async fn a_closed_journal_is_503_with_retry_after() {
    let stage = Stage::set(Signature::Off).await;
    stage.journal.close().await.unwrap();
    let answer = stage.ask(post(&[], "late")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let seconds = answer.headers()["retry-after"].to_str().unwrap();
    assert_eq!(seconds.parse(), Ok(receive::RETRY_AFTER.as_secs()));
}

#[tokio::test]
async fn bodies_that_take_up_all_the_room_make_others_wait_outside() {
    let stage = Stage::set(Signature::Off).await;
    // Each holds its room until its time is up, since its end never comes.
    let mut holders = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (router, body) = (stage.router.clone(), Body::new(Endless(Some(1_000))));
        holders.spawn(async move { router.oneshot(post(&[], body)).await.unwrap().status() });
    }
    let mut refused = StatusCode::OK;
    while refused != StatusCode::SERVICE_UNAVAILABLE && !holders.is_empty() {
        tokio::task::yield_now().await;
        refused = stage.ask(post(&[], "one more")).await.status();
        while holders.try_join_next().is_some() {}
    }
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
    while let Some(status) = holders.join_next().await {
        assert_eq!(status.unwrap(), StatusCode::REQUEST_TIMEOUT);
    }
    let later = stage.ask(post(&[], "one more")).await;
    assert_eq!(
        later.status(),
        StatusCode::OK,
        "the room was not given back"
    );
}

#[tokio::test]
async fn an_unknown_workspace_is_404() {
    let stage = Stage::set(Signature::Off).await;
    let request = Request::post("/webhooks/other")
        .body(Body::from("{}"))
        .unwrap();
    let answer = stage.ask(request).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        answer.extensions().get::<Receipt>().unwrap().workspace,
        None
    );
}

/// A body of which this many bytes come, if any, and never an end.
struct Endless(Option<usize>);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        match self.0.take() {
            Some(bytes) => Poll::Ready(Some(Ok(http_body::Frame::data(vec![0; bytes].into())))),
            None => Poll::Pending,
        }
    }
}
