//! Replays: what the journal has goes again, under the ids of the first time, behind
//! live events, and through kills.

mod nodes;
mod refusals;

use std::collections::BTreeMap;
use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Segment, Server, assert_lines, opened, run, stderr, stdout};

/// Begins a replay through the connection of every test.
async fn start(server: &Server, more: Value) -> Value {
    let mut body = json!({ "connection": "acme-segment", "rate_per_s": 5_000 });
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    let answer = server.post("/api/replays", &body).await;
    assert!(answer["number"].is_u64(), "{answer}");
    answer
}

async fn steer(server: &Server, replay: &Value, how: &str) -> Value {
    let path = format!("/api/replays/{}/{how}", replay["number"]);
    let answer = server.post(&path, &json!({})).await;
    assert!(answer["number"].is_u64(), "{answer}");
    answer
}

async fn until(server: &Server, replay: &Value, holds: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/replays/{}", replay["number"]);
    server.api_until(&path, holds).await
}

async fn done(server: &Server, replay: &Value) -> Value {
    until(server, replay, |seen| seen["state"] == "done").await
}

/// A replay that is done at once, and its report.
async fn replayed(server: &Server, more: Value) -> Value {
    let begun = start(server, more).await;
    done(server, &begun).await
}

/// Sends events, and waits until the connections have been through them.
async fn feed(server: &Server, events: &[Value]) {
    server.send_all(events).await;
    settled(server).await;
}

async fn settled(server: &Server) {
    let is_settled = |each: &Value| each["lag_records"] == 0;
    server
        .api_until("/api/connections", |answer| {
            let each = answer["connections"].as_array().unwrap();
            each.iter().all(is_settled)
        })
        .await;
}

fn events(from: usize, to: usize) -> Vec<Value> {
    (from..to).map(opened).collect()
}

/// More than a day passes at Segment, so that it takes repeated ids again.
async fn a_day_later(segment: &Segment) {
    let clock = format!("{}/emulator/clock", segment.url());
    let step = json!({ "advance_s": 90_000 }).to_string();
    let moved = crate::harness::http().post(clock).body(step).send().await;
    assert!(moved.unwrap().status().is_success());
}

/// The stored calls of each message id, in the order in which they came.
fn by_id(calls: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut ids: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for call in calls {
        let id = call["messageId"].as_str().unwrap();
        ids.entry(id).or_default().push(call);
    }
    ids
}

/// Every id came twice, and no other.
fn assert_twice(calls: &[Value], n_events: usize) {
    let ids = by_id(calls);
    assert_eq!(ids.len(), n_events, "message ids");
    for (id, calls) in ids {
        assert_eq!(calls.len(), 2, "calls of {id}");
    }
}

/// Applies the exported document with a text replaced.
fn change(server: &Server, from: &str, to: &str, more: &[&str]) {
    let document = stdout(&run(&mut server.command(&["export"])));
    assert!(document.contains(from), "{from:?} is not in {document}");
    server.home.write("next.toml", &document.replace(from, to));
    let file = server.home.path("next.toml");
    let mut args = vec!["apply", file.to_str().unwrap()];
    args.extend(more);
    let applied = run(&mut server.command(&args));
    assert_eq!(applied.status.code(), Some(0), "{}", stderr(&applied));
}

fn replay(server: &Server, args: &[&str]) -> Output {
    run(&mut server.command(&[&["replay"], args].concat()))
}

#[tokio::test]
async fn a_replay_sends_the_same_calls_under_the_same_ids_without_a_stamp() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let mut sent = events(0, 20);
    sent.push(opened(0));
    feed(&server, &sent).await;
    // Within the day Segment drops every one of them.
    let report = replayed(&server, json!({})).await;
    assert_eq!(report["counts"]["accepted"], 20, "{report}");
    let stats = segment.get("/emulator/stats").await;
    assert_eq!(
        (&stats["calls"], &stats["duplicates"]),
        (&json!(20), &json!(20))
    );

    a_day_later(&segment).await;
    let report = replayed(&server, json!({})).await;
    assert_eq!(report["counts"]["sent"], 20, "{report}");
    assert_eq!(report["counts"]["duplicates"], 1);
    assert_eq!(
        (&report["records"], &report["examined"]),
        (&json!(21), &json!(21))
    );
    assert_eq!(
        (&report["first_record"], &report["last_record"]),
        (&json!("1"), &json!("20"))
    );
    let calls = segment.calls().await;
    assert_twice(&calls, 20);
    for (id, twice) in by_id(&calls) {
        for key in [
            "event",
            "userId",
            "properties",
            "originalTimestamp",
            "context",
        ] {
            assert_eq!(twice[0][key], twice[1][key], "{key} of {id}");
        }
        assert!(twice[0]["sentAt"].is_string(), "{}", twice[0]);
        assert!(twice[1]["sentAt"].is_null(), "{}", twice[1]);
        assert_eq!(twice[1]["timestamp"], twice[1]["originalTimestamp"]);
    }
    let audit = server.api("/api/audit").await.to_string();
    for line in [
        "replay 2 of acme-segment was started: everything, 5000 calls/s at most",
        "replay 2 of acme-segment is done: 21 records, 20 calls accepted, 0 refused, 1 skipped",
    ] {
        assert!(audit.contains(line), "no {line:?} in {audit}");
    }
}

#[tokio::test]
async fn a_filter_and_a_time_choose_what_is_sent_again() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    feed(&server, &events(0, 5)).await;
    for (more, accepted, not_asked) in [
        (json!({ "filter": "person:person-3" }), 1, 4),
        (json!({ "filter": "-person:person-3 event:open" }), 4, 1),
        (json!({ "filter": "channel:sms" }), 0, 5),
        (
            json!({ "filter": "state:accepted id:delivery-1,delivery-2" }),
            2,
            3,
        ),
        (json!({ "filter": "state:skipped" }), 0, 5),
        (json!({ "since": "1h" }), 5, 0),
    ] {
        let report = replayed(&server, more.clone()).await;
        assert_eq!(report["counts"]["accepted"], accepted, "{more}: {report}");
        assert_eq!(report["counts"]["not_asked"], not_asked, "{more}: {report}");
    }
    let id = by_id(&segment.calls().await)
        .into_keys()
        .next()
        .unwrap()
        .to_owned();
    let report = replayed(&server, json!({ "filter": format!("id:{id}") })).await;
    assert_eq!(report["counts"]["accepted"], 1, "{report}");
    // What came before its time is not even looked at.
    let report = replayed(&server, json!({ "until": "2020-01-01" })).await;
    assert_eq!(
        (&report["records"], &report["counts"]["sent"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_replay_leaves_nothing_out() {
    const EVENTS: usize = 160;
    let segment = Segment::start();
    let server = Server::start(&segment);
    feed(&server, &events(0, EVENTS)).await;
    a_day_later(&segment).await;
    let begun = start(&server, json!({ "rate_per_s": 40 })).await;
    let killed = until(&server, &begun, |seen| {
        seen["examined"].as_u64() >= Some(30)
    })
    .await;
    assert_eq!(killed["state"], "running", "it is in the middle");
    let server = server.kill_and_restart();
    let report = done(&server, &begun).await;
    assert_eq!(report["counts"]["accepted"], EVENTS, "{report}");
    assert_twice(&segment.calls().await, EVENTS);
}

#[tokio::test]
async fn a_replay_that_is_paused_or_cancelled_keeps_its_place_and_goes_on_from_it() {
    const EVENTS: usize = 120;
    let segment = Segment::start();
    let server = Server::start(&segment);
    feed(&server, &events(0, EVENTS)).await;
    a_day_later(&segment).await;
    let begun = start(&server, json!({ "rate_per_s": 20 })).await;
    until(&server, &begun, |seen| seen["examined"].as_u64() > Some(0)).await;
    let paused = steer(&server, &begun, "pause").await;
    assert_eq!(paused["state"], "paused");

    let server = server.kill_and_restart();
    let still = server
        .api(&format!("/api/replays/{}", begun["number"]))
        .await;
    assert_eq!(still["state"], "paused");
    steer(&server, &begun, "resume").await;
    let before = still["examined"].as_u64().unwrap();
    until(&server, &begun, |seen| {
        seen["examined"].as_u64() > Some(before)
    })
    .await;
    let cancelled = steer(&server, &begun, "cancel").await;
    assert_eq!(cancelled["state"], "cancelled");
    assert!(cancelled["ended_at"].is_string());
    assert!(cancelled["examined"].as_u64() < Some(120), "{cancelled}");
    let path = format!("/api/replays/{}/pause", begun["number"]);
    let refused = server.ask(&Method::POST, &path, &json!({})).await;
    assert_eq!(refused.status, 409, "{refused:?}");

    steer(&server, &begun, "resume").await;
    let report = done(&server, &begun).await;
    assert_eq!(report["counts"]["accepted"], EVENTS, "{report}");
    assert_twice(&segment.calls().await, EVENTS);
    let audit = server.api("/api/audit").await.to_string();
    for done in ["was paused", "was resumed", "was cancelled", "is done"] {
        let line = format!("replay 1 of acme-segment {done}");
        assert!(audit.contains(&line), "no {line:?} in {audit}");
    }
}

#[tokio::test]
async fn live_events_go_before_a_replay_when_segment_is_back() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    feed(&server, &events(0, 10)).await;
    a_day_later(&segment).await;
    let down = json!([{ "status": 503, "times": "always" }]);
    segment.faults(down).await;
    server.send_all(&[opened(10)]).await;
    let waits = |answer: &Value| answer["connections"][0]["state"] == "waiting";
    server.api_until("/api/connections", waits).await;
    let begun = start(&server, json!({})).await;
    segment.no_faults().await;
    let report = done(&server, &begun).await;
    // The last one was not settled when it was asked for; it is by now, or counted so.
    let counts = &report["counts"];
    let last = counts["accepted"].as_u64().unwrap() + counts["not_settled"].as_u64().unwrap();
    assert_eq!(last, 11, "{report}");
    let calls = segment.wait(21).await;
    assert_eq!(
        calls[10]["userId"], "person-10",
        "the live call is the first"
    );
}

#[tokio::test]
async fn a_new_connection_is_given_the_history_that_it_never_sent() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let of = |delivery: &str, n: usize| {
        let mut event = opened(n);
        event["data"]["delivery_id"] = json!(delivery);
        event
    };
    let history = [of("a", 0), of("a", 1), of("b", 2)];
    feed(&server, &history).await;
    let second = "[[connection]]\nname = \"second\"\nworkspace = \"acme\"\n\
         write_key = \"env:SEGMENT_WRITE_KEY\"\nsend_frequency = \"first\"\nendpoint = \"ENDPOINT\"\n\n\
         [[connection]]"
        .replace("ENDPOINT", segment.url());
    change(
        &server,
        "[[connection]]",
        &second,
        &["--enable-from", "now"],
    );
    let asked = json!({ "connection": "second" });
    let preview = server.post("/api/replays/preview", &asked).await;
    assert_eq!(
        (&preview["calls"], &preview["complete"]),
        (&json!(2), &json!(true)),
        "{preview}"
    );
    assert_eq!(preview["samples"][0]["sent_before"], false);
    assert_eq!(
        preview["samples"][0]["row"]["ends"][0]["outcome"]["word"],
        "passed"
    );

    let report = replayed(&server, asked.clone()).await;
    assert_eq!(report["counts"]["accepted"], 2, "{report}");
    assert_eq!(report["counts"]["not_first"], 1, "{report}");
    let calls = segment.calls().await;
    assert_eq!(
        by_id(&calls).len(),
        5,
        "a connection has message ids of its own"
    );
    // What it has claimed is claimed for live events and for another replay too.
    feed(&server, &[of("b", 3)]).await;
    let told = server.api("/api/events/4").await;
    let ends = told["row"]["ends"].as_array().unwrap();
    let end = ends
        .iter()
        .find(|end| end["connection"] == "second")
        .unwrap();
    assert_eq!(end["outcome"]["word"], "skipped", "{told}");
    let told = server.api("/api/events/1").await;
    let told = told["told"].as_array().unwrap();
    let told = told
        .iter()
        .find(|told| told["connection"] == "second")
        .unwrap();
    assert_eq!(told["outcome"]["word"], "accepted", "{told}");
    assert_eq!(told["attempts"][0]["status"], 200);
    let report = replayed(&server, asked).await;
    assert_eq!(report["counts"]["accepted"], 2, "{report}");
}

#[tokio::test]
async fn what_a_replay_delivers_is_no_dead_letter_and_what_it_cannot_is_one_only() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let refuse = json!([{ "status": 400, "times": "always" }]);
    segment.faults(refuse.clone()).await;
    feed(&server, &events(0, 1)).await;
    segment.no_faults().await;
    feed(&server, &events(1, 2)).await;
    let total = |answer: &Value| answer["total"].clone();
    assert_eq!(total(&server.api("/api/dead-letters").await), 1);

    segment.faults(refuse).await;
    for _ in 0..2 {
        let report = replayed(&server, json!({ "filter": "state:buried" })).await;
        assert_eq!(report["counts"]["refused"], 1, "{report}");
        assert_eq!(total(&server.api("/api/dead-letters").await), 1);
    }
    let report = replayed(&server, json!({ "filter": "state:accepted" })).await;
    assert_eq!(report["counts"]["refused"], 1, "{report}");
    assert_eq!(total(&server.api("/api/dead-letters").await), 2);
    segment.no_faults().await;
    let report = replayed(&server, json!({})).await;
    assert_eq!(report["counts"]["accepted"], 2, "{report}");
    assert_eq!(total(&server.api("/api/dead-letters").await), 0);
    let told = server.api("/api/events/1").await;
    assert_eq!(
        told["row"]["ends"][0]["outcome"]["word"], "accepted",
        "{told}"
    );
}

#[tokio::test]
async fn a_preview_shows_what_is_other_than_it_was_and_commands_do_it() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    feed(&server, &events(0, 3)).await;
    let renamed = "body_content = false\nrename = { \"Email Opened\" = \"Mail Read\" }";
    change(&server, "body_content = false", renamed, &[]);
    let args = [
        "start",
        "--connection",
        "acme-segment",
        "--filter",
        "person:person-1",
    ];
    let dry = replay(&server, &[&args[..], &["--dry-run"]].concat());
    assert_eq!(dry.status.code(), Some(0), "{}", stderr(&dry));
    assert_lines(
        &stdout(&dry),
        &[
            ("1 call would be sent", "through acme-segment, of 3 records"),
            ("2", "not meant"),
            ("sample: record 2", "Mail Read"),
            ("event:", "\"Email Opened\" -> \"Mail Read\""),
        ],
    );
    let unasked = replay(&server, &args);
    assert_eq!(unasked.status.code(), Some(1), "nobody has agreed");
    assert!(stderr(&unasked).contains("--yes"), "{}", stderr(&unasked));
    let none = replay(&server, &["list"]);
    assert!(stderr(&none).contains("there are no replays"));

    let sent = replay(&server, &[&args[..], &["--yes", "--wait"]].concat());
    assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
    assert_lines(
        &stdout(&sent),
        &[("state", "done"), ("accepted", "1"), ("2", "not meant")],
    );
    let listed = stdout(&replay(&server, &["list"]));
    assert_lines(
        &listed,
        &[
            ("REPLAY", "FILTER"),
            ("acme-segment  done", "person:person-1"),
        ],
    );
    let shown = stdout(&replay(&server, &["show", "1", "--json"]));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["counts"]["accepted"], 1);
    // Nothing that was left out is said of persons where everybody reads it.
    let audit = server.api("/api/audit").await.to_string();
    assert!(
        audit.contains("replay 1") && !audit.contains("person-1"),
        "{audit}"
    );
}
