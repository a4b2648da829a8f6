//! A replay that several nodes send, a partition each.

use serde_json::json;

use super::{a_day_later, assert_twice, done, events, feed, start, until};
use crate::cluster::{home, three, until_divided};
use crate::harness::Segment;

#[tokio::test]
async fn what_a_killed_node_had_left_of_a_replay_is_sent_by_another() {
    const EVENTS: usize = 160;
    let (cluster, segment) = (three(), Segment::start());
    let a = home(&cluster, "a", &segment).start();
    let mut b = home(&cluster, "b", &segment).start();
    until_divided(&a, &["a", "b"]).await;
    feed(&a, &events(0, EVENTS)).await;
    a_day_later(&segment).await;
    let begun = start(&a, json!({ "rate_per_s": 30 })).await;
    let killed = until(&a, &begun, |seen| seen["examined"].as_u64() >= Some(30)).await;
    b.process.kill();
    assert_eq!(killed["state"], "running", "it is in the middle");
    let report = done(&a, &begun).await;
    assert_eq!(report["counts"]["accepted"], EVENTS, "{report}");
    assert_twice(&segment.calls().await, EVENTS);
}
