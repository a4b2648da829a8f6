//! `postmeter forget`: a person goes from every file, before and after a restart, and
//! nobody else notices.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::*;

/// An event of somebody who is known by these.
fn of(n: usize, identifiers: &Value) -> Value {
    let mut event = opened(n);
    event["data"]["identifiers"] = identifiers.clone();
    event["data"]["recipient"] = identifiers["email"].clone();
    event["data"]["subject"] = json!(format!("subject-{n}-for {}", identifiers["id"]));
    event
}

/// Ann, whose id, address and `cio_id` no single event shows together.
fn events_of_ann() -> [Value; 3] {
    [
        of(11, &json!({ "id": "ann-4711", "email": "ann@example.com" })),
        of(
            12,
            &json!({ "email": "ann@example.com", "cio_id": "cio-ann-99" }),
        ),
        of(13, &json!({ "cio_id": "cio-ann-99" })),
    ]
}

/// What of Ann would be found in a file.
const OF_ANN: [&str; 5] = [
    "ann-4711",
    "ann@example.com",
    "cio-ann-99",
    "delivery-12",
    "subject-13",
];

/// The files below a folder that say something of Ann.
fn traces_of_ann(dir: &Path) -> Vec<String> {
    let mut grep = Command::new("grep");
    grep.args(["-rlaF"]);
    for words in OF_ANN {
        grep.args(["-e", words]);
    }
    // 2 says that a file was replaced while it looked.
    let found = run(grep.arg(dir));
    stdout(&found).lines().map(str::to_owned).collect()
}

fn forget(server: &Server, args: &[&str]) -> Value {
    let mut all = vec!["forget", "--json"];
    all.extend(args);
    let output = run(&mut server.command(&all));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Sends Ann's events between those of others: two arrive, and the third is refused and
/// becomes a dead letter.
async fn send_between_others(server: &Server, segment: &Segment) {
    let [first, second, third] = events_of_ann();
    server
        .send_all(&[opened(1), first, opened(2), second])
        .await;
    segment.wait(4).await;
    segment.faults(json!([{ "status": 400, "times": 1 }])).await;
    server.send_all(&[third]).await;
    server
        .api_until("/api/dead-letters", |letters| letters["total"] == 1)
        .await;
    server.send_all(&[opened(3)]).await;
    segment.wait(5).await;
}

#[tokio::test]
async fn a_person_is_forgotten_under_every_name_and_nobody_else_is() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    send_between_others(&server, &segment).await;
    let folder = server.home.path("journal");
    assert!(
        !traces_of_ann(&folder).is_empty(),
        "there is something to forget"
    );

    let preview = forget(&server, &["--person", "cio-ann-99", "--dry-run"]);
    let known = json!(["cio-ann-99", "ann@example.com", "ann-4711"]);
    assert_eq!(preview["identifiers"], known, "{preview}");
    assert_eq!(preview["records"], 3);
    assert_eq!(preview["dead_letters"], 1);
    assert_eq!(preview["calls_sent"], 2);
    assert!(
        !traces_of_ann(&folder).is_empty(),
        "a preview changes nothing"
    );

    let done = forget(&server, &["--person", "cio-ann-99", "--yes"]);
    assert_eq!(done, preview);
    assert_eq!(traces_of_ann(&folder), [""; 0]);
    let gone = server.api("/api/events/2").await;
    assert!(
        gone["error"]
            .as_str()
            .is_some_and(|why| why.contains("was erased at")),
        "{gone}"
    );
    let others = server.api("/api/events/1").await;
    assert!(
        others["body"]
            .as_str()
            .is_some_and(|body| body.contains("person-1")),
        "{others}"
    );
    let audit = server.private_text("/api/audit").await;
    assert!(
        audit.contains("a person was forgotten: 3 record(s), 1 dead letter(s)"),
        "{audit}"
    );
    assert!(OF_ANN.iter().all(|words| !audit.contains(words)), "{audit}");
    assert_eq!(
        forget(&server, &["--person", "ann-4711", "--yes"])["records"],
        0
    );

    // Others flow on, and a later event of hers is new.
    server
        .send_all(&[opened(4), of(14, &json!({ "id": "ann-4711" }))])
        .await;
    segment.wait(7).await;
    assert_eq!(
        forget(&server, &["--person", "ann-4711", "--yes"])["records"],
        1
    );
    assert_eq!(server.process.terminate(), Some(0));
    assert_eq!(traces_of_ann(&folder), [""; 0]);
    let said = server.process.stderr();
    assert!(OF_ANN.iter().all(|words| !said.contains(words)), "{said}");
    let Server { home, .. } = server;
    let mut server = home.start();
    server.send_all(&[opened(5)]).await;
    segment.wait(8).await;
    assert_eq!(segment.calls().await.len(), 8, "nothing is sent twice");
    assert_eq!(server.process.terminate(), Some(0));
    assert_eq!(traces_of_ann(&folder), [""; 0]);
}

#[tokio::test]
async fn what_is_forgotten_before_it_was_sent_is_not_sent() {
    let segment = Segment::start();
    segment
        .faults(json!([{ "status": 503, "times": 100_000 }]))
        .await;
    let server = Server::start(&segment);
    let [first, second, third] = events_of_ann();
    server
        .send_all(&[opened(1), first, second, third, opened(2)])
        .await;
    let waits = |answer: &Value| answer["connections"][0]["state"] == "waiting";
    server.api_until("/api/connections", waits).await;
    let done = forget(&server, &["--person", "ann@example.com", "--yes"]);
    assert_eq!(
        (&done["records"], &done["calls_sent"]),
        (&json!(3), &json!(0)),
        "{done}"
    );
    segment.no_faults().await;
    let settled = |answer: &Value| answer["connections"][0]["lag_records"] == 0;
    server.api_until("/api/connections", settled).await;
    let calls = segment.calls().await;
    assert_eq!(calls.len(), 2, "{calls:?}");
    let sent = json!(calls).to_string();
    assert!(OF_ANN.iter().all(|words| !sent.contains(words)), "{sent}");
    server.metrics_until("end=\"skipped_erased\"} 3").await;
    assert_eq!(traces_of_ann(&server.home.path("journal")), [""; 0]);
}

#[tokio::test]
async fn one_identifier_alone_is_forgotten_where_that_is_asked_for() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server.send_all(&events_of_ann()).await;
    segment.wait(3).await;
    let preview = forget(&server, &["--person", "ann-4711", "--exact", "--dry-run"]);
    assert_eq!(preview["identifiers"], json!(["ann-4711"]));
    assert_eq!(preview["records"], 1);
}

#[tokio::test]
async fn without_a_yes_nothing_is_erased() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server.send_all(&events_of_ann()).await;
    segment.wait(3).await;
    let mut command = server.command(&["forget", "--person", "ann-4711"]);
    let output = run(command.stdin(Stdio::null()));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("found: 3 record(s)") && said.contains("--yes"),
        "{said}"
    );
    assert!(!traces_of_ann(&server.home.path("journal")).is_empty());
}
