//! What the server keeps for an operator: a connection's place while it is paused.

use serde_json::json;

use crate::harness::{
    Home, ONE_CONNECTION, Segment, assert_lines, opened, postmeter, run, stderr, stdout,
};

#[tokio::test]
async fn a_paused_connection_keeps_its_place_and_goes_on_when_it_may() {
    let segment = Segment::start();
    let mut server = Home::new(ONE_CONNECTION, segment.url()).start();
    server.send_all(&[opened(1)]).await;
    segment.wait(1).await;
    let document = |paused: bool| {
        let text = format!("{ONE_CONNECTION}paused = {paused}\n");
        text.replace("ENDPOINT", segment.url())
    };

    server.home.write("paused.toml", &document(true));
    let file = server.home.path("paused.toml");
    let applied = run(server.command(&["apply"]).arg(&file));
    assert_eq!(applied.status.code(), Some(0), "{}", stderr(&applied));
    server.send_all(&[opened(2), opened(3)]).await;
    let is_paused = |answer: &serde_json::Value| {
        let connection = &answer["connections"][0];
        connection["state"] == "paused" && connection["lag_records"] == 2
    };
    server.api_until("/api/connections", is_paused).await;

    // Neither a restart nor a kill lets it go on.
    server.home.write("connections.toml", &document(true));
    server = server.kill_and_restart();
    let answer = server.api_until("/api/connections", is_paused).await;
    assert_eq!(answer["connections"][0]["enabled"], json!(true));
    assert_eq!(segment.calls().await.len(), 1, "a paused connection sends");

    server.home.write("connections.toml", &document(false));
    let server = server.kill_and_restart();
    assert_eq!(segment.wait(3).await.len(), 3);
    drop(server);
}

#[test]
fn a_check_without_the_server_says_which_secrets_it_cannot_see() {
    let kept = ONE_CONNECTION.replace("env:SEGMENT_WRITE_KEY", "kept:0123abcd");
    let home = Home::new(&kept, "http://127.0.0.1:9100");
    let mut check = postmeter();
    check.arg("check").arg("--connections");
    let checked = run(check.arg(home.path("connections.toml")));
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    assert!(stdout(&checked).contains("connections: fine"));
    assert_lines(
        &stderr(&checked),
        &[("note: kept:0123abcd", "was not read")],
    );
    assert!(
        !stderr(&checked).contains("warning"),
        "{}",
        stderr(&checked)
    );
}

#[test]
fn a_secret_that_no_journal_keeps_stops_the_start() {
    let kept = ONE_CONNECTION.replace("env:SEGMENT_WRITE_KEY", "kept:0123abcd");
    let home = Home::new(&kept, "http://127.0.0.1:9100");
    let refused = run(&mut home.serve());
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("the journal keeps no secret kept:0123abcd"));
}
