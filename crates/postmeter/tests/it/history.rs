//! What happened is still known after the process that saw it was killed.

use serde_json::Value;

use crate::harness::{Home, ONE_CONNECTION, Segment, Server, opened};

const HOUR: &str = "/api/history?span=hour";

/// The sum of the line of this name.
fn total(history: &Value, lines: &str, name: &str) -> u64 {
    let lines = history[lines].as_array().into_iter().flatten();
    let named = lines.filter(|line| line["name"] == name);
    let counts = named.flat_map(|line| line["counts"].as_array().cloned().unwrap_or_default());
    counts.filter_map(|count| count.as_u64()).sum()
}

fn assert_counted(history: &Value, n_events: u64) {
    assert_eq!(total(history, "channels", "email"), n_events, "{history}");
    assert_eq!(history["funnels"][0]["steps"][2][1], n_events, "{history}");
    assert!(total(history, "answers", "200") > 0, "{history}");
}

#[tokio::test]
async fn the_history_survives_a_kill_and_counts_no_event_twice() {
    let segment = Segment::start();
    let home = Home::new(ONE_CONNECTION, segment.url());
    let config = std::fs::read_to_string(home.path("postmeter.toml")).expect("it was written");
    let config = config.replace("[console]\n", "[console]\nhistory_flush_s = 1\n");
    home.write("postmeter.toml", &config);
    let mut server = home.start();
    let events: Vec<Value> = (0..10).map(opened).collect();
    let (first, more) = events.split_at(6);
    server.send_all(first).await;
    segment.wait(6).await;
    assert_eq!(
        server.process.terminate(),
        Some(0),
        "it writes its last counts"
    );

    let Server { home, .. } = server;
    let server = home.start();
    assert_counted(&server.api(HOUR).await, 6);
    server.send_all(more).await;
    segment.wait(10).await;
    // What was not written yet is counted again, and what was is not.
    let server = server.kill_and_restart();
    let all = |history: &Value| total(history, "channels", "email") >= 10;
    let history = server.api_until(HOUR, all).await;
    assert_counted(&history, 10);
}
