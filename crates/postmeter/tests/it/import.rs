//! History out of files: with its own times, in whatever the files are packed, and
//! whole although it is interrupted.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::harness::{
    Home, ONE_CONNECTION, PATIENCE, Process, Segment, Server, lines, opened, run, stderr, stdout,
};

/// When [`opened`] number zero happened, as Segment shows it.
const FIRST_AT: &str = "2023-11-14T22:13:20.000Z";

struct Scene {
    segment: Segment,
    server: Server,
}

impl Scene {
    fn new() -> Scene {
        let segment = Segment::start();
        let server = Home::new(ONE_CONNECTION, segment.url()).start();
        Scene { segment, server }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.server.home.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn import(&self, args: &[&str], files: &[&PathBuf]) -> Command {
        let mut command = self.server.command(&["import", "--workspace", "acme"]);
        command.args(args).args(files);
        command
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn people(calls: &[Value]) -> BTreeSet<String> {
    let name = |call: &Value| call["userId"].as_str().unwrap().to_owned();
    calls.iter().map(name).collect()
}

fn call<'c>(calls: &'c [Value], person: &str) -> &'c Value {
    let found = calls.iter().find(|call| call["userId"] == person);
    found.unwrap_or_else(|| panic!("no call of {person}"))
}

#[tokio::test]
async fn history_keeps_its_times_and_live_events_say_when_they_are_sent() {
    let scene = Scene::new();
    let older = json!({
        "event_type": "email_delivered",
        "event_id": "01OLDER",
        "timestamp": 1_500_000_000,
        "data": { "customer_id": "older", "email_address": "older@example.com", "email_id": "e1" },
    });
    let text = lines((0..40).map(opened).chain([older]));
    let file = scene.file("events.jsonl.gz", &gzip(&text));
    let output = run(&mut scene.import(&["--yes"], &[&file]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("41 lines, 41 events stored now"));
    assert_eq!(scene.server.send(&opened(1_000)).await, 200);

    let calls = scene.segment.wait(42).await;
    let first = call(&calls, "person-0");
    assert_eq!(first["timestamp"], FIRST_AT);
    assert_eq!(first["originalTimestamp"], FIRST_AT);
    assert!(is_unsent(first), "{first}");
    assert_eq!(call(&calls, "older")["event"], "Email Delivered");
    assert!(is_unsent(call(&calls, "older")));
    assert!(!is_unsent(call(&calls, "person-1000")));
    let audit = scene.server.api("/api/audit").await.to_string();
    assert!(audit.contains("41 records out of 41 lines"), "{audit}");
}

/// Whether a call came without the time of its sending.
fn is_unsent(call: &Value) -> bool {
    call.get("sentAt").is_none()
}

#[tokio::test]
async fn what_is_no_event_is_told_by_its_line_and_the_rest_is_stored() {
    let scene = Scene::new();
    let text = format!("{}\n\nhello\n[1]\n{{\"a\":\n{}\n", opened(1), opened(2));
    let file = scene.file("events.jsonl", text.as_bytes());
    let output = run(&mut scene.import(&["--yes"], &[&file]));
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    for line in [
        "events.jsonl:3: left out",
        "events.jsonl:4: left out",
        "events.jsonl:5: left out",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(stdout(&output).contains("6 lines, 2 events stored now, 3 lines left out"));
    assert_eq!(people(&scene.segment.wait(2).await).len(), 2);

    let strict = ["--yes", "--from", "start", "--bad-lines", "stop"];
    let output = run(&mut scene.import(&strict, &[&file]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("events.jsonl:3: it is no JSON object"));
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_where_it_was() {
    const EVENTS: usize = 3_000;
    let mut scene = Scene::new();
    let file = scene.file("events.jsonl", lines((0..EVENTS).map(opened)).as_bytes());
    let slow = ["--yes", "--rate", "2000"];
    let mut importer = Process::start(&mut scene.import(&slow, &[&file]));
    scene.segment.wait(500).await;
    importer.kill();
    scene.server = scene.server.kill_and_restart();
    let output = run(&mut scene.import(&["--yes", "--rate", "100000"], &[&file]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains("stored by an earlier run"), "{said}");
    let calls = scene.segment.wait(EVENTS).await;
    assert_eq!(people(&calls).len(), EVENTS);

    let again = run(&mut scene.import(&["--yes"], &[&file]));
    assert!(stdout(&again).contains("0 events stored now, 3000 lines stored by an earlier run"));
    let anew = run(&mut scene.import(&["--yes", "--from", "start", "--rate", "100000"], &[&file]));
    assert!(
        stdout(&anew).contains("3000 events stored now"),
        "{}",
        stderr(&anew)
    );
    scene
        .server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["lag_records"] == 0
        })
        .await;
    assert_eq!(
        scene.segment.calls().await.len(),
        EVENTS,
        "the rest are duplicates"
    );
}

#[tokio::test]
async fn history_waits_while_a_connection_is_far_behind() {
    let segment = Segment::start();
    segment.faults(json!([{ "status": 503 }])).await;
    let home = Home::new(ONE_CONNECTION, segment.url());
    home.configure("max_bytes = 67108864");
    let scene = Scene {
        server: home.start(),
        segment,
    };
    let large = json!({ "event_id": "large", "object_type": "email", "metric": "sent",
        "timestamp": 1_700_000_000, "data": { "identifiers": { "id": "l" }, "subject": "x".repeat(1_000_000) } });
    let events = (0..80).map(|n| {
        let mut event = large.clone();
        event["event_id"] = json!(format!("large-{n}"));
        event
    });
    let file = scene.file("large.jsonl", lines(events).as_bytes());
    let import = scene.import(&["--yes", "--rate", "100000"], &[&file]);
    let said = scene.server.home.path("said.txt");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 2> \"$0\""]).arg(&said);
    command.arg(import.get_program()).args(import.get_args());
    let mut importer = Process::start(&mut command);
    let waits = || std::fs::read_to_string(&said).is_ok_and(|said| said.contains("more than 75 %"));
    let begun = Instant::now();
    while !waits() {
        assert!(
            begun.elapsed() < PATIENCE,
            "{:?}",
            std::fs::read_to_string(&said)
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        scene.server.send(&opened(1)).await,
        200,
        "live events have room"
    );
    importer.kill();
}

#[test]
fn a_dry_run_says_what_is_in_the_files_and_needs_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let text = format!("{}{}", lines((0..3).map(opened)), "{\"no\":\"event\"}\n");
    std::fs::write(&path, text).unwrap();
    let args = ["import", "--workspace", "acme", "--dry-run"];
    let output = run(crate::harness::postmeter().args(args).arg(&path));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stdout(&output);
    assert!(said.contains("4 lines, 4 events to store"), "{said}");
    assert!(
        said.contains("from 2023-11-14T22:13:20Z to 2023-11-14T22:13:22Z"),
        "{said}"
    );
}

#[tokio::test]
async fn mistakes_are_told_before_anything_is_stored() {
    let scene = Scene::new();
    let file = scene.file("events.jsonl", lines([opened(1)]).as_bytes());
    let unasked = run(&mut scene.import(&[], &[&file]));
    assert!(stderr(&unasked).contains("--yes"), "{}", stderr(&unasked));
    let mut other = scene
        .server
        .command(&["import", "--workspace", "nobody", "--yes"]);
    let other = run(other.arg(&file));
    assert!(stderr(&other).contains("there is no workspace \"nobody\""));
    let gone = scene.server.home.path("gone.jsonl");
    let missing = run(&mut scene.import(&["--yes"], &[&gone]));
    assert!(stderr(&missing).contains("gone.jsonl"));
    assert_eq!(scene.server.api("/api/events").await["rows"], json!([]));
}
