//! Send frequency *first only*: the first occurrence is sent, durably and once.

use serde_json::json;

use crate::harness::{Home, ONE_CONNECTION, Segment, opened};

#[tokio::test]
async fn ten_opens_around_a_kill_give_one_call_and_the_other_connection_all() {
    let segment = Segment::start();
    let both = format!(
        "{ONE_CONNECTION}send_frequency = \"first\"\n\n[[connection]]\nname = \"every\"\n\
         workspace = \"acme\"\nwrite_key = \"env:SEGMENT_WRITE_KEY\"\nendpoint = \"ENDPOINT\"\n"
    );
    let mut server = Home::new(&both, segment.url()).start();
    let open = |n: usize| {
        let mut event = opened(n);
        event["data"]["delivery_id"] = json!("one-delivery");
        event["data"]["identifiers"]["id"] = json!("one-person");
        event
    };
    server.send_all(&(0..4).map(open).collect::<Vec<_>>()).await;
    server = server.kill_and_restart();
    server.send_all(&(4..8).map(open).collect::<Vec<_>>()).await;
    segment.wait(9).await;
    server = server.kill_and_restart();
    server
        .send_all(&(8..10).map(open).collect::<Vec<_>>())
        .await;
    segment.wait(11).await;
    server
        .api_until("/api/connections", |answer| {
            answer["connections"]
                .as_array()
                .unwrap()
                .iter()
                .all(|each| each["lag_records"] == 0)
        })
        .await;
    let calls = segment.calls().await;
    assert_eq!(calls.len(), 11, "ten of one connection, one of the other");
    let opens = |n: i64| {
        let at = jiff::Timestamp::from_second(1_700_000_000 + n).unwrap();
        let is_it = |call: &&serde_json::Value| {
            call["originalTimestamp"]
                .as_str()
                .unwrap()
                .parse::<jiff::Timestamp>()
                .unwrap()
                == at
        };
        calls.iter().filter(is_it).count()
    };
    assert_eq!(opens(0), 2, "both connections have the first occurrence");
    assert!(
        (1..10).all(|n| opens(n) == 1),
        "only one connection has the others"
    );
}
