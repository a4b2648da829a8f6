//! `postmeter doctor` on set-ups that are broken in one way each: it has to name the
//! cause and say what to do. And on a whole one: it has to find nothing wrong.

mod tls;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::*;

/// The doctor on a home's files.
fn doctor(home: &Home) -> Command {
    let mut command = postmeter();
    command.arg("doctor");
    command.arg("--config").arg(home.path("postmeter.toml"));
    command
        .arg("--connections")
        .arg(home.path("connections.toml"));
    command
}

/// The doctor on a running server.
fn doctor_of(server: &Server) -> Command {
    server.command(&["doctor"])
}

/// Runs it and wants that it finds this wrong, in a line with both words, with advice.
fn finds(command: &mut Command, check: &str, cause: &str, advice: &str) -> Output {
    let output = run(command);
    let said = stdout(&output);
    let lines: Vec<&str> = said.lines().collect();
    let found = lines
        .iter()
        .position(|line| line.starts_with(&format!("fail  {check}")) && line.contains(cause));
    let found = found.unwrap_or_else(|| panic!("no failed {check:?} with {cause:?} in {said}"));
    let below = lines.get(found + 1).copied().unwrap_or_default();
    assert!(below.contains(advice), "no {advice:?} below it in {said}");
    assert_ne!(output.status.code(), Some(0), "{said}");
    output
}

/// The same of a warning.
fn warns(command: &mut Command, check: &str, cause: &str) {
    let said = stdout(&run(command));
    let line = said
        .lines()
        .find(|line| line.starts_with(&format!("warn  {check}")) && line.contains(cause));
    assert!(
        line.is_some(),
        "no warned {check:?} with {cause:?} in {said}"
    );
}

/// An address that nobody listens on.
fn nobody() -> SocketAddr {
    let bound = TcpListener::bind("127.0.0.1:0").expect("a free port");
    bound.local_addr().expect("an address")
}

/// A stand-in that answers every connection with `answer`, until the test ends.
fn stand_in(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut head = BufReader::new(socket.try_clone().expect("a socket")).lines();
            while head
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            drop(socket.write_all(answer.as_bytes()));
        }
    });
    address
}

#[tokio::test]
async fn a_whole_set_up_has_nothing_wrong_whether_a_server_runs_or_not() {
    let segment = Segment::start();
    let home = Home::new_on_disk(ONE_CONNECTION, segment.url());
    let output = run(&mut doctor(&home));
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let server = home.start();
    server.send_all(&[opened(1)]).await;
    segment.wait(1).await;
    let before = files(&server.home.path("journal"));
    let output = run(doctor_of(&server).arg("--json"));
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["fail"], 0, "{report}");
    let checks = report["checks"].as_array().expect("checks");
    let level = |check: &str| {
        let found = checks.iter().find(|each| each["check"] == check);
        found.map(|each| each["level"].clone()).unwrap_or_default()
    };
    for fine in [
        "config",
        "token",
        "journal",
        "segment",
        "clock",
        "server",
        "dead letters",
    ] {
        assert_eq!(level(fine), "ok", "{fine} in {report}");
    }
    assert_eq!(
        files(&server.home.path("journal")),
        before,
        "it left something behind"
    );
    assert!(!report.to_string().contains(WRITE_KEY));
}

/// The names in a folder that no server changes by itself.
fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_port_that_another_program_holds_is_named_with_the_program() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("an address");
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:9");
    let config = format!(
        "[receive]\nlisten = \"{address}\"\n[console]\nlisten = \"127.0.0.1:0\"\n[journal]\ndir = {:?}\n",
        home.path("journal")
    );
    home.write("postmeter.toml", &config);
    let who = format!("process {}", std::process::id());
    finds(
        &mut doctor(&home),
        "public listener",
        &who,
        "choose another port",
    );
}

#[test]
fn a_folder_that_takes_no_files_is_named() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:9");
    home.write("postmeter.toml", "[journal]\ndir = \"/proc/postmeter\"\n");
    finds(
        &mut doctor(&home),
        "disk sync /proc",
        "it takes no file",
        "[journal] dir",
    );
    home.write("taken", "a file");
    let dir = home.path("taken").join("journal");
    home.write("postmeter.toml", &format!("[journal]\ndir = {dir:?}\n"));
    finds(
        &mut doctor(&home),
        "journal folder",
        "is a file",
        "to a folder",
    );
}

#[test]
fn a_disk_that_is_too_full_for_events_is_named() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:9");
    let dir = home.path("journal");
    // More than any disk has.
    home.write(
        "postmeter.toml",
        &format!("[journal]\ndir = {dir:?}\nmin_free_bytes = 1_000_000_000_000_000\n"),
    );
    finds(
        &mut doctor(&home),
        "disk space",
        "answered 503",
        "free space on this disk",
    );
}

#[test]
fn a_folder_in_memory_is_named() {
    let dir = TempDir::new_in("/dev/shm").expect("the system's folder in memory");
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:9");
    home.write(
        "postmeter.toml",
        &format!("[journal]\ndir = {:?}\n", dir.path()),
    );
    finds(
        &mut doctor(&home),
        "file system",
        "it is in memory",
        "on a disk",
    );
}

#[test]
fn mistakes_in_the_config_are_all_named_and_end_the_examination() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:9");
    home.write(
        "postmeter.toml",
        "[receive]\nlisten = \"here\"\n[jornal]\ndir = \"x\"\n",
    );
    let output = finds(&mut doctor(&home), "config", "line 2", "run doctor again");
    assert!(stdout(&output).contains("jornal"), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_connections_file_with_mistakes_and_a_secret_that_is_missing_are_named() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:9");
    let mut without_key = doctor(&home);
    without_key.env_remove("SEGMENT_WRITE_KEY");
    finds(
        &mut without_key,
        "secret",
        "SEGMENT_WRITE_KEY",
        "set the variable",
    );
    home.write("connections.toml", "[[connection]]\nname = \"a b\"\n");
    finds(&mut doctor(&home), "connections", "name", "postmeter check");
}

#[test]
fn odd_keys_and_open_doors_are_warned_of() {
    let home = Home::new(ONE_CONNECTION, "http://127.0.0.1:9");
    warns(
        doctor(&home).env("SEGMENT_WRITE_KEY", "short"),
        "key",
        "5 characters instead of 32",
    );
    let open = ONE_CONNECTION.replace(
        "signing_keys = [\"env:CIO_SIGNING_KEY\"]",
        "signature = \"off\"",
    );
    let twice = format!(
        "{open}\n[[connection]]\nname = \"again\"\nworkspace = \"acme\"\nwrite_key = \"env:SEGMENT_WRITE_KEY\"\nendpoint = \"ENDPOINT\"\n"
    );
    home.write(
        "connections.toml",
        &twice.replace("ENDPOINT", "http://127.0.0.1:9"),
    );
    warns(&mut doctor(&home), "key", "signatures are off");
    warns(&mut doctor(&home), "key", "the same write key");
}

#[test]
fn a_name_that_does_not_resolve_and_a_port_that_refuses_are_told_apart() {
    let home = Home::new(ONE_CONNECTION, "https://segment.invalid");
    finds(
        &mut doctor(&home),
        "segment",
        "cannot resolve host segment.invalid",
        "name resolution",
    );
    let home = Home::new(ONE_CONNECTION, &format!("http://{}", nobody()));
    finds(&mut doctor(&home), "segment", "cannot connect", "firewall");
}

#[test]
fn a_segment_that_hangs_is_named() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("an address");
    let home = Home::new(ONE_CONNECTION, &format!("http://{address}"));
    home.configure("[dispatch]\nrequest_timeout_s = 1");
    finds(
        &mut doctor(&home),
        "segment",
        "no answer from",
        "does not answer",
    );
}

#[test]
fn a_clock_that_is_wrong_is_named_with_what_segment_does_then() {
    let past = stand_in(
        "HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    let home = Home::new(ONE_CONNECTION, &format!("http://{past}"));
    finds(
        &mut doctor(&home),
        "clock",
        "shifts every event's time",
        "synchronise",
    );
}

#[test]
fn an_app_api_that_refuses_its_key_is_named() {
    let api =
        stand_in("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let keyed = ONE_CONNECTION.replace(
        "name = \"acme\"\n",
        &format!(
            "name = \"acme\"\napp_api_key = \"env:APP_KEY\"\napp_api_url = \"http://{api}\"\n"
        ),
    );
    let home = Home::new(&keyed, "http://127.0.0.1:9");
    let mut command = doctor(&home);
    command.env("APP_KEY", "an-app-api-key");
    finds(&mut command, "app api", "refuses the key", "app_api_key");
}

#[tokio::test]
async fn a_connection_that_segment_refuses_is_stuck_since_a_time_for_a_reason() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    segment
        .faults(json!([{ "status": 401, "times": 1_000 }]))
        .await;
    server.send_all(&[opened(1)]).await;
    let waits = |answer: &Value| answer["connections"][0]["state"] == "waiting";
    server.api_until("/api/connections", waits).await;
    finds(
        &mut doctor_of(&server),
        "connection acme-segment",
        "401",
        "correct the write key",
    );
}

#[tokio::test]
async fn a_wrong_signing_key_holds_up_the_feed_and_a_bad_body_is_a_dead_letter() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    assert_eq!(
        server
            .signed("no JSON")
            .send()
            .await
            .expect("an answer")
            .status(),
        200
    );
    server
        .api_until("/api/dead-letters", |answer| answer["total"] == 1)
        .await;
    let unsigned = server.http.post(server.webhook()).body("{}");
    assert_eq!(unsigned.send().await.expect("an answer").status(), 401);
    finds(
        &mut doctor_of(&server),
        "workspace acme",
        "stands still",
        "signing_keys",
    );
    warns(&mut doctor_of(&server), "dead letters", "1 event(s)");
}

#[tokio::test]
async fn a_token_that_others_may_read_and_one_that_is_not_the_servers_are_named() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let token = server.home.path("journal").join("token");
    std::fs::set_permissions(&token, PermissionsExt::from_mode(0o644)).expect("the file is ours");
    finds(&mut doctor_of(&server), "token", "mode 644", "chmod 600");
    server
        .home
        .write("other-token", "another-token-than-the-servers");
    let mut command = doctor_of(&server);
    command
        .arg("--token-file")
        .arg(server.home.path("other-token"));
    finds(
        &mut command,
        "server",
        "does not take this token",
        "--token-file",
    );
    std::fs::remove_file(&token).expect("the file is ours");
    finds(
        &mut doctor_of(&server),
        "server",
        "cannot be asked",
        "--token-file",
    );
}

#[tokio::test]
async fn a_full_journal_is_named_with_what_fills_it() {
    let home = Home::new(ONE_CONNECTION, &format!("http://{}", nobody()));
    home.configure("max_bytes = 1048576");
    let server = home.start();
    let mut event = opened(1);
    event["data"]["content"] = json!("x".repeat(60_000));
    for n in 0.. {
        assert!(n < 100, "the journal is never full");
        event["event_id"] = json!(format!("full-{n}"));
        if server.send(&event).await == 503 {
            break;
        }
    }
    finds(&mut doctor_of(&server), "journal: full", "503", "max_bytes");
    finds(
        &mut doctor_of(&server),
        "connection acme-segment",
        "cannot connect",
        "firewalls",
    );
}

#[tokio::test]
async fn a_damaged_record_is_named() {
    let segment = Segment::start();
    let mut server = Server::start(&segment);
    server.send_all(&[opened(1), opened(2), opened(3)]).await;
    segment.wait(3).await;
    assert_eq!(server.process.terminate(), Some(0));
    let log = server
        .home
        .path("journal")
        .join("log/00000000000000000001.log");
    let mut bytes = std::fs::read(&log).expect("a segment");
    bytes[100] ^= 1;
    std::fs::write(&log, bytes).expect("a segment");
    let Server { home, .. } = server;
    let mut command = home.serve();
    command.arg("--rebuild-index");
    let server = Server::with(command, home);
    server
        .metrics_until("postmeter_damaged_records_total 1")
        .await;
    finds(&mut doctor_of(&server), "damage", "1 record(s)", "dmesg");
}
