//! Choosing events and dead letters by the one filter language, and what is done to
//! those that were chosen.

use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{Process, Segment, Server, opened, run, stderr, stdout};

/// A server with one dead letter for each of so many events.
async fn buried(segment: &Segment, n_letters: usize) -> Server {
    let server = Server::start(segment);
    for n in 1..=n_letters {
        segment.faults(json!([{ "times": 1, "status": 400 }])).await;
        server.send_all(&[opened(n)]).await;
        let all = |letters: &Value| letters["total"] == n;
        server.api_until("/api/dead-letters", all).await;
    }
    segment.no_faults().await;
    server
}

fn command(server: &Server, args: &[&str]) -> Output {
    run(&mut server.command(args))
}

/// The records in an answer's rows.
fn places(watched: &Value) -> Vec<&str> {
    let rows = watched["rows"].as_array().unwrap().iter();
    rows.map(|row| row["place"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn looking_back_in_pages_leaves_out_nothing_and_repeats_nothing() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let events: Vec<Value> = (1..=5).map(opened).collect();
    server.send_all(&events).await;
    segment.wait(5).await;
    for filter in [
        "",
        "state:accepted",
        "person:person-1,person-2,person-3,person-4,person-5",
    ] {
        let mut seen = Vec::new();
        let mut path = format!("/api/events?limit=2&filter={filter}");
        loop {
            let watched = server.api(&path).await;
            seen.extend(places(&watched).iter().map(ToString::to_string));
            let Some(older) = watched["older"].as_str() else {
                assert!(watched["reached_at"].is_string(), "{filter}");
                break;
            };
            path = format!("/api/events?limit=2&filter={filter}&before={older}");
        }
        assert_eq!(seen, ["5", "4", "3", "2", "1"], "{filter}");
    }
}

#[tokio::test]
async fn a_message_id_finds_the_event_that_became_the_call() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server.send_all(&[opened(1), opened(2)]).await;
    let calls = segment.wait(2).await;
    let second = calls.iter().find(|call| call["userId"] == "person-2");
    let id = second.unwrap()["messageId"].as_str().unwrap();
    let watched = server.api(&format!("/api/events?filter=id:{id}")).await;
    assert_eq!(places(&watched), ["2"]);
    let told = stdout(&command(&server, &["explain", id]));
    assert!(told.contains("person-2"), "{told}");
}

#[tokio::test]
async fn events_prints_what_passes_and_explain_tells_the_story() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server.send_all(&[opened(1), opened(2), opened(2)]).await;
    segment.wait(2).await;
    let repeat = |found: &Value| found["rows"][0]["kind"]["word"] == "duplicate";
    let path = "/api/events?filter=state:duplicate";
    server.api_until(path, repeat).await;

    let listed = command(&server, &["events", "--filter", "-state:duplicate"]);
    let lines: Vec<String> = stdout(&listed).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].contains("Email Opened") && lines[1].contains("person-1"));
    assert!(stderr(&listed).contains("2 of 3 looked at"), "{listed:?}");
    let json = command(
        &server,
        &["events", "--filter", "person:person-2", "--json"],
    );
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["events"].as_array().unwrap().len(), 2);
    let mistaken = command(&server, &["events", "--filter", "colour:red"]);
    assert_eq!(mistaken.status.code(), Some(1));
    assert!(stderr(&mistaken).contains("there is no \"colour\""));

    let told = command(&server, &["explain", "delivery-1"]);
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    for there in [
        "Journaled as record 1 and answered 200",
        "First of its event id",
        "accepted by acme-segment",
        "the call for acme-segment:",
    ] {
        assert!(stdout(&told).contains(there), "{there}\n{told:?}");
    }
    let several = command(&server, &["explain", "person-2"]);
    assert_eq!(several.status.code(), Some(0));
    assert!(
        stderr(&several).contains("2 events bear this as a person"),
        "{several:?}"
    );
    let json = command(&server, &["explain", "record:2", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["repeats"], json!(["3"]));
    let nothing = command(&server, &["explain", "nobody"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(stderr(&nothing).contains("hint: "), "{nothing:?}");
}

#[tokio::test]
async fn events_that_come_by_are_printed_until_the_end() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server.send_all(&[opened(1)]).await;
    segment.wait(1).await;
    let args = ["events", "--follow", "--filter", "person:person-1,person-3"];
    let mut following = Process::start(&mut server.command(&args));
    assert!(following.line("1 ").contains("person-1"));
    server.send_all(&[opened(2), opened(3)]).await;
    assert!(following.line("3 ").contains("person-3"));
    assert_eq!(following.terminate(), Some(0), "{}", following.stderr());
}

#[tokio::test]
async fn a_filter_chooses_which_dead_letters_are_retried_and_which_discarded() {
    let segment = Segment::start();
    let server = buried(&segment, 3).await;
    let retry = ["dead-letters", "retry", "--filter", "person:person-2"];
    let with = |more: &'static str| [&retry[..], &[more]].concat();

    let unasked = command(&server, &retry);
    assert_eq!(unasked.status.code(), Some(1));
    assert!(stderr(&unasked).contains("--yes"), "{unasked:?}");
    let dry = command(&server, &with("--dry-run"));
    assert_eq!(stdout(&dry).lines().count(), 1, "{dry:?}");
    assert!(
        stderr(&dry).contains("1 go as they were refused"),
        "{dry:?}"
    );
    assert_eq!(server.api("/api/dead-letters").await["total"], 3);

    let done = command(&server, &with("--yes"));
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(stdout(&done), "1 accepted by Segment\n");
    assert_eq!(segment.wait(1).await[0]["userId"], "person-2");
    let left = server.api("/api/dead-letters?filter=person:person-2").await;
    assert_eq!(
        (&left["total"], &left["dead_letters"]),
        (&json!(2), &json!([]))
    );

    let none = ["dead-letters", "discard", "--filter", "until:1h", "--yes"];
    assert!(stderr(&command(&server, &none)).contains("no dead letter is like that"));
    let all = [
        "dead-letters",
        "discard",
        "--filter",
        "since:1h reason:400",
        "--yes",
    ];
    assert_eq!(stdout(&command(&server, &all)), "2 gone for good\n");
    let lines = server.api("/api/audit").await;
    let said = lines["audit"][1]["what"].as_str().unwrap();
    assert!(said.starts_with("dead letters (person:(hidden)) were tried again: 1 accepted"));
    assert!(!lines.to_string().contains("person-2"), "{lines}");
}

#[tokio::test]
async fn a_retry_says_what_it_would_send_otherwise_than_was_refused() {
    let segment = Segment::start();
    let server = buried(&segment, 2).await;
    let document = stdout(&command(&server, &["export"]));
    let renamed = format!("{document}\nrename = {{ \"Email Opened\" = \"Mail Read\" }}\n");
    server.home.write("next.toml", &renamed);
    let file = server.home.path("next.toml");
    let applied = command(&server, &["apply", file.to_str().unwrap()]);
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");

    let foreseen = server
        .post("/api/dead-letters/preview", &json!({ "all": true }))
        .await;
    assert_eq!(
        (&foreseen["count"], &foreseen["differ"]),
        (&json!(2), &json!(2))
    );
    let difference =
        json!({ "field": "event", "before": "\"Email Opened\"", "now": "\"Mail Read\"" });
    assert_eq!(foreseen["samples"][0]["differences"], json!([difference]));
    let dry = command(&server, &["dead-letters", "retry", "--all", "--dry-run"]);
    assert!(
        stderr(&dry).contains("2 differ from what was refused"),
        "{dry:?}"
    );
    assert!(stderr(&dry).contains("event \"Email Opened\" -> \"Mail Read\""));
}

#[tokio::test]
async fn what_is_buried_after_it_was_asked_about_is_not_touched() {
    let segment = Segment::start();
    let server = buried(&segment, 1).await;
    let all = json!({ "all": true });
    let foreseen = server.post("/api/dead-letters/preview", &all).await;
    assert_eq!(foreseen["count"], 1);
    segment.faults(json!([{ "times": 1, "status": 400 }])).await;
    server.send_all(&[opened(2)]).await;
    let both = |letters: &Value| letters["total"] == 2;
    server.api_until("/api/dead-letters", both).await;
    let meant = json!({ "all": true, "below": foreseen["below"] });
    let gone = server.post("/api/dead-letters/discard", &meant).await;
    assert_eq!(gone, json!({ "discarded": 1, "next": null }));
    let left = server.api("/api/dead-letters").await;
    assert_eq!(left["dead_letters"].as_array().unwrap().len(), 1);
}
