//! The commands, as they are typed.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{
    Home, ONE_CONNECTION, Process, Segment, Server, WRITE_KEY, lines, opened, postmeter, run,
    stderr, stdout,
};

/// `postmeter shape` with these lines on stdin: its exit code, stdout and stderr.
fn shape(args: &[&str], lines: &str) -> (Option<i32>, String, String) {
    let mut command = postmeter();
    command.arg("shape").args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), stdout(&output), stderr(&output))
}

#[test]
fn shape_prints_one_call_per_line_in_order_without_sent_at() {
    let lines = lines((0..3).map(opened));
    let (code, out, err) = shape(&["--connection-id", "c1"], &lines);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let calls: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(calls.len(), 3);
    for (n, call) in calls.iter().enumerate() {
        assert_eq!(call["userId"], format!("person-{n}"));
        assert_eq!(call["type"], "track");
        assert!(call.get("sentAt").is_none());
        assert_eq!(call["messageId"].as_str().unwrap().len(), "pm-".len() + 26);
    }
    let (_, again, _) = shape(&["--connection-id", "c1"], &lines);
    assert_eq!(again, out, "the same input gives the same ids");
    let (_, other, _) = shape(&["--connection-id", "c2"], &lines);
    assert_ne!(other, out, "another connection gets other ids");
}

#[test]
fn shape_says_by_line_what_it_skipped_and_buried() {
    let good = opened(1);
    let lines = format!(
        "{good}\n{{\"hello\": 1}}\nnot JSON\n{{\"metric\":\"sent\",\"object_type\":\"email\"}}\n{good}\n"
    );
    let (code, out, err) = shape(&[], &lines);
    assert_eq!(code, Some(1), "something was buried");
    assert_eq!(out.lines().count(), 2);
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines.len(), 3, "{err}");
    assert!(lines[0].starts_with("2: skipped: "), "{err}");
    assert!(lines[1].starts_with("3: buried: "), "{err}");
    assert!(
        lines[2].starts_with("4: buried: ") && lines[2].contains("no person"),
        "{err}"
    );
}

#[test]
fn shape_takes_the_options_and_files() {
    let mut sent = opened(1);
    sent["metric"] = json!("sent");
    sent["data"]["content"] = json!("the body");
    let home = Home::new("", "");
    home.write("events.jsonl", &sent.to_string());
    let file = home.path("events.jsonl");
    let file = file.to_str().unwrap();
    let (_, plain, _) = shape(&[file], "");
    let plain: Value = serde_json::from_str(&plain).unwrap();
    assert_eq!(plain["properties"]["content"], Value::Null);
    assert_eq!(plain["integrations"], json!({ "Customer.io": false }));
    let (_, rich, _) = shape(
        &[
            "--body-content",
            "--send-back",
            "--payload-version",
            "1.0.0",
            file,
        ],
        "",
    );
    let rich: Value = serde_json::from_str(&rich).unwrap();
    assert_eq!(rich["properties"]["content"], "the body");
    assert_eq!(rich.get("integrations"), None);
    assert_eq!(rich["context"]["integration"]["version"], "1.0.0");
    assert_eq!(rich["properties"]["email_subject"], "hello");
    assert_eq!(rich["properties"]["email_id"], "delivery-1");
    let (code, _, err) = shape(&["--payload-version", "3.0.0"], "");
    assert_eq!(code, Some(2));
    assert!(err.contains("1.0.0 and 2.0.0"), "{err}");
}

#[tokio::test]
async fn apply_prints_the_difference_and_export_gives_it_back() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let exported = stdout(&run(&mut server.command(&["export"])));
    assert!(
        exported.contains("write_key = \"env:SEGMENT_WRITE_KEY\""),
        "{exported}"
    );
    server.home.write(
        "next.toml",
        &exported.replace("send_back = false", "send_back = true"),
    );
    let next = server.home.path("next.toml");
    let next = next.to_str().unwrap();

    let dry = run(&mut server.command(&["apply", next, "--dry-run"]));
    assert_eq!(
        stdout(&dry),
        "~ connection acme-segment: send_back false -> true\n"
    );
    assert_eq!(
        stdout(&run(&mut server.command(&["export"]))),
        exported,
        "a dry run changes nothing"
    );

    let applied = run(&mut server.command(&["apply", next]));
    assert_eq!(applied.status.code(), Some(0), "{}", stderr(&applied));
    assert_eq!(stdout(&applied), stdout(&dry));
    let after = stdout(&run(&mut server.command(&["export"])));
    assert!(after.contains("send_back = true"), "{after}");
    server.send_all(&[opened(1)]).await;
    let calls = segment.wait(1).await;
    assert_eq!(
        calls[0]["integrations"],
        json!({}),
        "Segment shows {{}} where the key is left out"
    );

    let again = run(&mut server.command(&["apply", next]));
    assert_eq!(stdout(&again), "");
    assert!(stderr(&again).contains("nothing to change"));
}

#[tokio::test]
async fn apply_refuses_a_file_with_mistakes_and_changes_nothing() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let before = stdout(&run(&mut server.command(&["export"])));
    server
        .home
        .write("bad.toml", &before.replace("send_back", "send_bakc"));
    let bad = server.home.path("bad.toml");
    let output = run(&mut server.command(&["apply", bad.to_str().unwrap()]));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("did you mean `send_back`?"),
        "{}",
        stderr(&output)
    );
    // A secret that only the server can look for is refused by the server.
    server.home.write(
        "bad.toml",
        &before.replace("env:SEGMENT_WRITE_KEY", "env:NO_SUCH_KEY"),
    );
    let output = run(&mut server.command(&["apply", bad.to_str().unwrap()]));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("NO_SUCH_KEY is not set"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stdout(&run(&mut server.command(&["export"]))), before);
}

#[tokio::test]
async fn the_connections_survive_a_restart_without_the_file() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    let before = stdout(&run(&mut server.command(&["export"])));
    assert_eq!(server.process.terminate(), Some(0));
    let mut command = postmeter();
    command
        .arg("serve")
        .arg("--config")
        .arg(server.home.path("postmeter.toml"));
    let server = Server::with(command, server.home);
    assert_eq!(stdout(&run(&mut server.command(&["export"]))), before);
    server.send_all(&[opened(1)]).await;
    segment.wait(1).await;
}

#[tokio::test]
async fn an_index_that_is_thrown_away_comes_back_and_still_knows_duplicates() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    server
        .send_all(&(0..20).map(opened).collect::<Vec<_>>())
        .await;
    assert_eq!(server.signed("no JSON").send().await.unwrap().status(), 200);
    segment.wait(20).await;
    let lag_is_gone = |answer: &Value| answer["connections"][0]["lag_records"] == 0;
    server.api_until("/api/connections", lag_is_gone).await;
    assert_eq!(server.process.terminate(), Some(0));
    let mut command = server.home.serve();
    command.arg("--rebuild-index");
    let server = Server::with(command, server.home);
    server
        .send_all(&(0..21).map(opened).collect::<Vec<_>>())
        .await;
    segment.wait(21).await;
    server.api_until("/api/connections", lag_is_gone).await;
    assert_eq!(
        segment.get("/emulator/stats").await["duplicates"],
        0,
        "something was sent again"
    );
    assert_eq!(segment.calls().await.len(), 21);
    assert_eq!(
        server.api("/api/dead-letters").await["total"],
        1,
        "buried once"
    );
}

#[tokio::test]
async fn a_disabled_connection_keeps_its_events_until_it_is_enabled() {
    for (from, expected) in [("backlog", 3), ("now", 1)] {
        let segment = Segment::start();
        let server = Server::start(&segment);
        let enabled = stdout(&run(&mut server.command(&["export"])));
        let file = server.home.path("next.toml");
        let file = file.to_str().unwrap();
        server.home.write(
            "next.toml",
            &enabled.replace("enabled = true", "enabled = false"),
        );
        assert_eq!(
            run(&mut server.command(&["apply", file])).status.code(),
            Some(0)
        );
        server.send_all(&[opened(1), opened(2)]).await;
        let answer = server.api("/api/connections").await;
        assert_eq!(answer["connections"][0]["state"], "disabled");
        assert_eq!(answer["connections"][0]["lag_records"], 2);
        server.home.write("next.toml", &enabled);
        let args = ["apply", file, "--enable-from", from];
        assert_eq!(run(&mut server.command(&args)).status.code(), Some(0));
        server.send_all(&[opened(3)]).await;
        let calls = segment.wait(expected).await;
        assert_eq!(calls.len(), expected, "{from}");
        assert!(calls.iter().any(|call| call["userId"] == "person-3"));
    }
}

#[tokio::test]
async fn send_test_shows_segments_answer_and_a_confirmation_sticks() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let sent = run(&mut server.command(&["send-test", "acme-segment"]));
    assert_eq!(sent.status.code(), Some(0), "{}", stderr(&sent));
    assert!(
        stdout(&sent).contains("Segment answered 200"),
        "{}",
        stdout(&sent)
    );
    assert!(
        stderr(&sent).contains("connections confirm acme-segment"),
        "{}",
        stderr(&sent)
    );
    let calls = segment.wait(1).await;
    assert_eq!(calls[0]["event"], "Postmeter Test");
    assert!(stdout(&sent).contains(calls[0]["messageId"].as_str().unwrap()));

    let list = stdout(&run(&mut server.command(&["connections"])));
    assert!(list.contains("unconfirmed"), "{list}");
    let confirmed = run(&mut server.command(&["connections", "confirm", "acme-segment"]));
    assert_eq!(confirmed.status.code(), Some(0), "{}", stderr(&confirmed));
    let server = server.kill_and_restart();
    let list = stdout(&run(&mut server.command(&["connections"])));
    assert!(list.contains("up to date"), "{list}");
}

#[tokio::test]
async fn send_test_says_what_is_wrong_when_nothing_answers() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:1");
    let server = home.start();
    let sent = run(&mut server.command(&["send-test", "acme-segment"]));
    assert_eq!(sent.status.code(), Some(1));
    assert!(
        stdout(&sent).contains("not delivered: "),
        "{}",
        stdout(&sent)
    );
    let sent = run(&mut server.command(&["send-test", "acme-sgement"]));
    assert_eq!(sent.status.code(), Some(1));
    assert!(
        stderr(&sent).contains("there is no connection"),
        "{}",
        stderr(&sent)
    );
}

#[tokio::test]
async fn dead_letters_are_listed_and_shown() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let empty = run(&mut server.command(&["dead-letters", "list"]));
    assert!(stderr(&empty).contains("no dead letters"));
    let answer = server.signed("{broken").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    server
        .api_until("/api/dead-letters", |answer| answer["total"] == 1)
        .await;
    let list = stdout(&run(&mut server.command(&["dead-letters", "list"])));
    let id = list
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let shown = stdout(&run(&mut server.command(&["dead-letters", "show", id])));
    assert!(
        shown.contains("{broken") && shown.contains("JSON"),
        "{shown}"
    );
    let json = stdout(&run(&mut server.command(&[
        "dead-letters",
        "show",
        id,
        "--json",
    ])));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["body"], "{broken");
    let missing = run(&mut server.command(&["dead-letters", "show", "99999"]));
    assert_eq!(missing.status.code(), Some(1));
}

#[tokio::test]
async fn the_customerio_emulator_delivers_a_file_through_the_server() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server
        .home
        .write("events.jsonl", &lines((0..30).map(opened)));
    let mut command = postmeter();
    command.args(["emulator", "customerio", "--to", &server.webhook()]);
    command.args(["--signing-key", "env:CIO_SIGNING_KEY", "--json", "--events"]);
    let output = run(command.arg(server.home.path("events.jsonl")));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["accepted"], 30, "{report}");
    assert_eq!(segment.wait(30).await.len(), 30);
}

#[test]
fn the_segment_emulator_prints_its_address_first() {
    let mut command = postmeter();
    let mut emulator =
        Process::start(command.args(["emulator", "segment", "--listen", "127.0.0.1:0"]));
    assert!(
        emulator
            .line("")
            .starts_with("listening on http://127.0.0.1:")
    );
    assert_eq!(emulator.terminate(), Some(0));
}

#[tokio::test]
async fn the_segment_emulator_takes_calls_for_another_region_and_shows_nothing() {
    let mut command = postmeter();
    command.args(["emulator", "segment", "--listen", "127.0.0.1:0"]);
    let state = format!("{WRITE_KEY}=wrong-region");
    let mut emulator = Process::start(command.args(["--key-state", &state]));
    let url = emulator.line("listening on ");
    let server = Home::new(ONE_CONNECTION, &url).start();
    server.send_all(&[opened(1)]).await;
    let answer = server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["lag_records"] == 0
        })
        .await;
    assert_eq!(answer["connections"][0]["last_attempt"]["status"], 200);
    assert_eq!(
        answer["connections"][0]["state"], "unconfirmed",
        "a 200 proves nothing"
    );
    let calls = server
        .http
        .get(format!("{url}/emulator/calls"))
        .send()
        .await
        .unwrap();
    assert_eq!(calls.text().await.unwrap().trim(), "[]");
}

#[test]
fn every_command_has_help_with_examples_and_exit_codes() {
    let help = stdout(&run(postmeter().arg("--help")));
    assert!(help.contains("Exit codes:"), "{help}");
    for command in [
        "demo",
        "serve",
        "check",
        "shape",
        "send-test",
        "apply",
        "export",
        "connections",
        "dead-letters",
    ] {
        assert!(help.contains(command), "{command} is not in {help}");
        let help = stdout(&run(postmeter().args([command, "--help"])));
        assert!(help.contains("Examples:"), "{command}: {help}");
    }
    for emulator in ["segment", "customerio"] {
        let help = stdout(&run(postmeter().args(["emulator", emulator, "--help"])));
        assert!(help.contains("Examples:"), "{emulator}: {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&run(postmeter().args(["completions", shell])));
        assert!(script.contains("dead-letters"), "{shell}");
    }
}
