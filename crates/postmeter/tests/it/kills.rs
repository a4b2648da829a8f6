//! `serve` is killed in the middle of its work, and nothing acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::{Home, ONE_CONNECTION, SIGNING_KEY, Segment, Server, http, opened, sign};

const EVENTS: usize = 2_000;
const SENDERS: usize = 16;
const KILLS: usize = 3;

/// Sends every event until it is answered 200, wherever the server is now.
async fn send_until_taken(
    next: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
    mut webhook: watch::Receiver<String>,
) {
    let http = http();
    loop {
        let n = next.fetch_add(1, Ordering::SeqCst);
        if n >= EVENTS {
            return;
        }
        let body = opened(n).to_string();
        let signature = sign(SIGNING_KEY, "1700000000", body.as_bytes());
        loop {
            let url = webhook.borrow_and_update().clone();
            let request = http.post(&url).header("X-CIO-Timestamp", "1700000000");
            let request = request
                .header("X-CIO-Signature", &signature)
                .body(body.clone());
            match request.send().await {
                Ok(answer) if answer.status() == 200 => break,
                Ok(answer) => assert_eq!(answer.status(), 503, "only 503 is no promise"),
                // Killed under us: wait for the next server, or try this one again.
                Err(_) => {
                    let moved = tokio::time::timeout(Duration::from_secs(1), webhook.changed());
                    drop(moved.await);
                }
            }
        }
        taken.fetch_add(1, Ordering::SeqCst);
    }
}

/// Every acknowledged event is stored, under one id each, and none was invented.
fn assert_conserved(calls: &[Value]) {
    let mut ids_by_person: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for call in calls {
        let person = call["userId"].as_str().unwrap();
        ids_by_person
            .entry(person)
            .or_default()
            .insert(call["messageId"].as_str().unwrap());
    }
    for n in 0..EVENTS {
        let person = format!("person-{n}");
        let ids = ids_by_person.remove(person.as_str());
        assert_eq!(ids.map(|ids| ids.len()), Some(1), "message ids of {person}");
    }
    assert!(ids_by_person.is_empty(), "invented: {ids_by_person:?}");
    assert_eq!(calls.len(), EVENTS, "the emulator drops repeated ids");
}

async fn survive_kills(faults: Value) {
    let segment = Segment::start();
    segment.faults(faults).await;
    let home = Home::new(ONE_CONNECTION, segment.url());
    home.configure("[dispatch]\nrequest_timeout_s = 2\nbackoff_max_s = 1");
    let mut server = home.start();
    let (moved, webhook) = watch::channel(server.webhook());
    let (next, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (next, taken) = (Arc::clone(&next), Arc::clone(&taken));
        senders.spawn(send_until_taken(next, taken, webhook.clone()));
    }
    for kill in 1..=KILLS {
        // In the middle of things: when another quarter of the events is taken.
        while taken.load(Ordering::SeqCst) < kill * EVENTS / (KILLS + 1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        server = server.kill_and_restart();
        moved.send_replace(server.webhook());
    }
    while let Some(sender) = senders.join_next().await {
        sender.expect("a sender ends well");
    }
    segment.wait(EVENTS).await;
    caught_up(&server).await;
    assert_conserved(&segment.calls().await);
    assert_eq!(server.api("/api/dead-letters").await["total"], 0);
}

async fn caught_up(server: &Server) {
    server
        .api_until("/api/connections", |answer| {
            answer["connections"][0]["lag_records"] == 0
        })
        .await;
}

#[tokio::test]
async fn three_kills_at_full_speed_lose_and_invent_nothing() {
    survive_kills(json!([])).await;
}

#[tokio::test]
async fn three_kills_while_segment_misbehaves_lose_and_invent_nothing() {
    survive_kills(json!([
        { "status": 429, "retry_after": 1 },
        { "accept_then_drop": true, "times": 2 },
        { "status": 503, "times": 2 },
        { "reset": true, "times": 2 },
        { "hang": true, "seconds": 4 },
        { "accept_then_drop": true, "times": 2 },
        { "status": 503, "after": 1 },
        { "reset": "mid_body", "times": 2 },
        { "accept_then_drop": true, "times": 4, "after": 2 },
    ]))
    .await;
}
