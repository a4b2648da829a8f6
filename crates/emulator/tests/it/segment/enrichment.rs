//! What Segment's servers add: the raw debugger's view of a call.

use emulator::segment::Config;
use serde_json::{Value, json};

use super::harness::*;

/// The documented *SMS Sent* sample: what was sent, and what the debugger showed.
#[tokio::test]
async fn the_documented_sms_sent_sample_is_reproduced_byte_for_byte() {
    let sent = r#"{"sentAt":"2022-05-09T21:27:03.151Z","batch":[{
        "type":"track","event":"SMS Sent","userId":"karn@customer.io",
        "messageId":"api-28wdXq0yQP8jesjRYdLmj2dxiaM",
        "timestamp":"2022-05-09T21:27:02.000Z",
        "integrations":{"Customer.io":false},
        "context":{"traits":{"email":"cool.person@example.com"},"integration":{"version":"2.0.0","name":"customer.io"}},
        "properties":{
            "recipient":"15555555555","action_id":41,"anonymousId":"cool.person@example.com","campaign_id":7,
            "content":"Hey, just testing sms segment stuff.","delivery_id":"RKGZAQACAYCqt-kVejTLzrd-t9D_sQ==",
            "journey_id":"01G2NBFT8N2MYDTT3MHWK7Z6C6","userId":"cool.person@example.com"}
    }]}"#;
    let shown = concat!(
        r#"{"context":{"integration":{"name":"customer.io","version":"2.0.0"},"#,
        r#""library":{"name":"unknown","version":"unknown"},"traits":{"email":"cool.person@example.com"}},"#,
        r#""event":"SMS Sent","integrations":{"Customer.io":false},"#,
        r#""messageId":"api-28wdXq0yQP8jesjRYdLmj2dxiaM","originalTimestamp":"2022-05-09T21:27:02.000Z","#,
        r#""properties":{"action_id":41,"anonymousId":"cool.person@example.com","campaign_id":7,"#,
        r#""content":"Hey, just testing sms segment stuff.","delivery_id":"RKGZAQACAYCqt-kVejTLzrd-t9D_sQ==","#,
        r#""journey_id":"01G2NBFT8N2MYDTT3MHWK7Z6C6","recipient":"15555555555","userId":"cool.person@example.com"},"#,
        r#""receivedAt":"2022-05-09T21:27:03.384Z","sentAt":"2022-05-09T21:27:03.151Z","#,
        r#""timestamp":"2022-05-09T21:27:02.233Z","type":"track","userId":"karn@customer.io","#,
        r#""writeKey":"abcdefghijklmnopqrstuvwxyz012345"}"#,
    );
    let segment = frozen("2022-05-09T21:27:03.384Z");
    post_keyed(&segment, "/v1/batch", sent)
        .await
        .assert_success();
    assert_eq!(segment.calls()[0].to_json(), shown);
}

/// The times of the documented samples: original, sent, received, and what Segment passed on.
#[tokio::test]
async fn the_documented_samples_give_their_timestamps_to_the_millisecond() {
    let samples = [
        (
            "2021-06-16T13:04:06Z",
            "2021-06-16T13:05:39.000Z",
            "2021-06-16T13:05:39.605Z",
            "2021-06-16T13:04:06.605Z",
        ),
        (
            "2022-05-09T21:27:02.000Z",
            "2022-05-09T21:27:03.151Z",
            "2022-05-09T21:27:03.384Z",
            "2022-05-09T21:27:02.233Z",
        ),
        (
            "2021-06-16T13:29:01Z",
            "2021-06-16T13:29:02.000Z",
            "2021-06-16T13:29:03.021Z",
            "2021-06-16T13:29:02.021Z",
        ),
        (
            "2021-06-16T13:05:55Z",
            "2021-06-16T13:07:04.000Z",
            "2021-06-16T13:07:04.404Z",
            "2021-06-16T13:05:55.404Z",
        ),
    ];
    for (original, sent, received, expected) in samples {
        let segment = frozen(received);
        let body = call(&format!(r#""timestamp":"{original}","sentAt":"{sent}""#));
        post_keyed(&segment, "/v1/track", body)
            .await
            .assert_success();
        let view = only_view(&segment);
        assert_eq!(view["timestamp"], expected);
        assert_eq!(view["originalTimestamp"], original, "verbatim");
        assert_eq!(view["sentAt"], sent);
        assert_eq!(view["receivedAt"], received);
    }
}

#[tokio::test]
async fn without_sent_at_the_time_stands_and_without_timestamp_it_is_the_time_of_receipt() {
    let segment = frozen("2022-05-09T21:27:03.384Z");
    post_keyed(
        &segment,
        "/v1/track",
        call(r#""timestamp":"2019-01-01T00:00:00Z""#),
    )
    .await
    .assert_success();
    let view = only_view(&segment);
    assert_eq!(view["timestamp"], "2019-01-01T00:00:00Z");
    assert_eq!(view.get("sentAt"), None);

    let segment = frozen("2022-05-09T21:27:03.384Z");
    post_keyed(
        &segment,
        "/v1/track",
        call(r#""sentAt":"2022-05-09T21:27:03.000Z""#),
    )
    .await
    .assert_success();
    let view = only_view(&segment);
    assert_eq!(view["timestamp"], "2022-05-09T21:27:03.384Z");
    assert_eq!(view.get("originalTimestamp"), None);
}

#[tokio::test]
async fn a_call_of_its_own_sent_at_wins_over_the_envelopes() {
    let segment = frozen("2022-05-09T21:27:10.000Z");
    let times = r#""timestamp":"2022-05-09T21:27:00.000Z","sentAt":"2022-05-09T21:27:05.000Z""#;
    let body = format!(
        r#"{{"writeKey":"{KEY}","sentAt":"2022-05-09T21:27:09.000Z","batch":[{},{}]}}"#,
        call(times),
        call(r#""timestamp":"2022-05-09T21:27:00.000Z""#),
    );
    post(&segment, "/v1/batch", body).await.assert_success();
    let times: Vec<_> = segment
        .calls()
        .iter()
        .map(|call| call.timestamp().to_owned())
        .collect();
    assert_eq!(
        times,
        ["2022-05-09T21:27:05.000Z", "2022-05-09T21:27:01.000Z"]
    );
}

#[tokio::test]
async fn a_call_without_an_id_gets_one_that_carries_the_second_of_receipt() {
    let segment = segment();
    post(
        &segment,
        "/v1/batch",
        batch(&[call(""), call(""), call(r#""messageId":"""#)]),
    )
    .await
    .assert_success();
    let ids: Vec<_> = segment
        .calls()
        .iter()
        .map(|call| call.message_id().to_owned())
        .collect();
    for id in &ids {
        assert!(id.starts_with("api-") && id.len() == 31, "{id}");
        // Published: a call received at this second bears api-28wdXq0yQP8jesjRYdLmj2dxiaM.
        assert_eq!(&id[..8], "api-28wd");
    }
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
}

#[tokio::test]
async fn what_a_call_lacks_is_filled_in_and_nothing_else() {
    let segment = segment();
    post_keyed(
        &segment,
        "/v1/track",
        r#"{"event":"e","userId":"u","messageId":"m","extra":null}"#,
    )
    .await
    .assert_success();
    let expected = json!({
        "context": {"library": {"name": "unknown", "version": "unknown"}},
        "event": "e",
        "extra": null,
        "integrations": {},
        "messageId": "m",
        "receivedAt": "2022-05-09T21:27:03.384Z",
        "timestamp": "2022-05-09T21:27:03.384Z",
        "type": "track",
        "userId": "u",
        "writeKey": KEY,
    });
    assert_eq!(only_view(&segment), expected);
}

#[tokio::test]
async fn the_envelopes_context_and_integrations_are_merged_and_the_calls_win() {
    let segment = segment();
    let own = call(r#""context":{"a":"call","library":{"name":"own"}},"integrations":{"X":false}"#);
    let body = format!(
        r#"{{"writeKey":"{KEY}","context":{{"a":"envelope","b":"envelope"}},"integrations":{{"X":true,"All":true}},"batch":[{own}]}}"#
    );
    post(&segment, "/v1/batch", body).await.assert_success();
    let view = only_view(&segment);
    assert_eq!(
        view["context"],
        json!({"a": "call", "b": "envelope", "library": {"name": "own"}})
    );
    assert_eq!(view["integrations"], json!({"X": false, "All": true}));
}

#[tokio::test]
async fn numbers_and_escapes_keep_their_exact_text() {
    let segment = segment();
    let exact = r#""properties":{"b":12345678901234567890123,"a":1.10,"c":[1e400,{"z":0.1000,"y":"\u00e9\/"}]}"#;
    post_keyed(&segment, "/v1/track", call(exact))
        .await
        .assert_success();
    let shown = segment.calls()[0].to_json();
    let sorted = r#""properties":{"a":1.10,"b":12345678901234567890123,"c":[1e400,{"y":"\u00e9\/","z":0.1000}]}"#;
    assert!(shown.contains(sorted), "{shown}");
}

#[tokio::test]
async fn deep_nesting_is_shown_as_it_was_written() {
    let segment = segment();
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    post_keyed(
        &segment,
        "/v1/track",
        call(&format!(r#""properties":{{"deep":{deep}}}"#)),
    )
    .await
    .assert_success();
    assert!(segment.calls()[0].to_json().contains(&deep));
}

#[tokio::test]
async fn the_senders_address_is_shown_only_when_the_context_is_direct() {
    let served = Served::start(emulator::segment::Segment::new(Config::default())).await;
    let direct = call(r#""context":{"direct":true}"#);
    let own = call(r#""context":{"direct":true,"ip":"192.0.2.1"}"#);
    let body = batch(&[call(""), direct, own]);
    assert!(
        served
            .post(&body)
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    let ips: Vec<Value> = served
        .segment
        .calls()
        .iter()
        .map(|call| {
            serde_json::from_str::<Value>(&call.to_json()).unwrap()["context"]["ip"].clone()
        })
        .collect();
    assert_eq!(ips, [Value::Null, json!("127.0.0.1"), json!("192.0.2.1")]);
    served.stop().await;
}
