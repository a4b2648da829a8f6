//! What the server tells of an event: why each connection did with it what it did,
//! as it was then, after a restart too.

use serde_json::{Value, json};

use crate::harness::{Home, ONE_CONNECTION, Segment, Server, opened, run};

/// The story of the record, once it satisfies `until`.
async fn story(server: &Server, place: &str, until: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/events/{place}");
    server.api_until(&path, until).await
}

fn outcome(told: &Value) -> &str {
    told["told"][0]["outcome"]["word"]
        .as_str()
        .unwrap_or_default()
}

fn reason(told: &Value) -> &str {
    told["told"][0]["outcome"]["reason"]
        .as_str()
        .unwrap_or_default()
}

/// Applies the exported document with a text replaced.
fn change(server: &Server, from: &str, to: &str, more: &[&str]) {
    let document = run(&mut server.command(&["export"])).stdout;
    let document = String::from_utf8(document).unwrap();
    assert!(document.contains(from), "{from:?} is not in {document}");
    server.home.write("next.toml", &document.replace(from, to));
    let file = server.home.path("next.toml");
    let mut args = vec!["apply", file.to_str().unwrap()];
    args.extend(more);
    let applied = run(&mut server.command(&args));
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
}

#[tokio::test]
async fn the_story_of_an_event_survives_a_kill() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server.send_all(&[opened(1), opened(1)]).await;
    let sent = segment.wait(1).await;
    story(&server, "1", |told| outcome(told) == "accepted").await;

    let server = server.kill_and_restart();
    let told = story(&server, "1", |told| outcome(told) == "accepted").await;
    let attempt = &told["told"][0]["attempts"][0];
    assert_eq!(attempt["status"], 200);
    assert!(attempt["answer"].as_str().unwrap().contains("success"));
    let call = &told["told"][0]["call"];
    assert_eq!(call["message_id"], sent[0]["messageId"]);
    let json: Value = serde_json::from_str(call["json"].as_str().unwrap()).unwrap();
    assert_eq!(json["properties"], sent[0]["properties"]);
    assert_eq!(told["repeats"], json!(["2"]));
    assert!(told["signed_by"].is_string() && told["key"]["ends_with"] == "cdef");

    let repeat = story(&server, "2", |told| outcome(told) == "skipped").await;
    assert_eq!(
        repeat["row"]["kind"],
        json!({ "word": "duplicate", "of": "1" })
    );
    for words in [
        "01TEST00000000000000000001",
        "delivery-1",
        "person-1",
        "person-1@example.com",
        "1",
        sent[0]["messageId"].as_str().unwrap(),
    ] {
        let found = server.api(&format!("/api/find?q={words}")).await;
        let places: Vec<&Value> = found["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["place"])
            .collect();
        assert!(places.contains(&&json!("1")), "{words} finds {found}");
    }
    let nothing = server.api("/api/find?q=nobody").await;
    assert_eq!(nothing["rows"], json!([]));
    assert_eq!(nothing["meaning"], Value::Null);
}

#[tokio::test]
async fn a_first_only_connection_names_the_record_that_was_first() {
    let segment = Segment::start();
    let first_only = format!("{ONE_CONNECTION}send_frequency = \"first\"\n");
    let server = Home::new(&first_only, segment.url()).start();
    let open = |n: usize| {
        let mut event = opened(n);
        event["data"]["delivery_id"] = json!("one-delivery");
        event
    };
    server.send_all(&[open(1), open(2)]).await;
    let told = story(&server, "2", |told| outcome(told) == "skipped").await;
    assert_eq!(reason(&told), "because record 1 was first");
    assert_eq!(told["told"][0]["first"], "1");
    let told = story(&server, "1", |told| outcome(told) == "accepted").await;
    assert_eq!(told["told"][0]["first"], "1");
}

#[tokio::test]
async fn a_call_is_shown_with_the_options_of_then() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    server.send_all(&[opened(1)]).await;
    segment.wait(1).await;
    story(&server, "1", |told| outcome(told) == "accepted").await;
    change(
        &server,
        "body_content = false",
        "body_content = false\nrename = { \"Email Opened\" = \"Mail Read\" }",
        &[],
    );
    server.send_all(&[opened(2)]).await;
    segment.wait(2).await;
    let now = story(&server, "2", |told| outcome(told) == "accepted").await;
    assert_eq!(now["told"][0]["call"]["event"], "Mail Read");
    assert_eq!(now["told"][0]["options"], "as they are now");
    let then = story(&server, "1", |told| outcome(told) == "accepted").await;
    assert_eq!(then["told"][0]["call"]["event"], "Email Opened");
    let options = then["told"][0]["options"].as_str().unwrap();
    assert!(options.starts_with("in use since "), "{options}");
}

#[tokio::test]
async fn what_segment_refuses_is_a_dead_letter_that_can_be_sent_again() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    segment.faults(json!([{ "times": 1, "status": 400 }])).await;
    server.send_all(&[opened(1)]).await;
    let told = story(&server, "1", |told| outcome(told) == "buried").await;
    assert_eq!(reason(&told), "Segment answered 400");
    let letter = told["told"][0]["outcome"]["letter"].as_u64().unwrap();
    let groups = server.api("/api/dead-letters/groups").await;
    assert_eq!(groups["groups"][0]["count"], 1);
    assert_eq!(groups["groups"][0]["events"], json!(["Email Opened"]));

    segment.no_faults().await;
    let retried = server
        .post("/api/dead-letters/retry", &json!({ "id": letter }))
        .await;
    assert_eq!(retried["accepted"], 1, "{retried}");
    let calls = segment.wait(1).await;
    assert_eq!(calls[0]["messageId"], told["told"][0]["call"]["message_id"]);
    let letters = server.api("/api/dead-letters").await;
    assert_eq!(letters["total"], 0);
}

#[tokio::test]
async fn a_first_occurrence_that_was_refused_is_sent_again_and_no_other_instead() {
    let segment = Segment::start();
    let first_only = format!("{ONE_CONNECTION}send_frequency = \"first\"\n");
    let server = Home::new(&first_only, segment.url()).start();
    let open = |n: usize| {
        let mut event = opened(n);
        event["data"]["delivery_id"] = json!("one-delivery");
        event
    };
    segment.faults(json!([{ "times": 1, "status": 400 }])).await;
    server.send_all(&[open(1)]).await;
    let refused = story(&server, "1", |told| outcome(told) == "buried").await;
    segment.no_faults().await;
    server.send_all(&[open(2)]).await;
    story(&server, "2", |told| outcome(told) == "skipped").await;

    let server = server.kill_and_restart();
    let all = json!({ "all": true });
    let retried = server.post("/api/dead-letters/retry", &all).await;
    assert_eq!(retried["accepted"], 1, "{retried}");
    let calls = segment.wait(1).await;
    assert_eq!(calls.len(), 1);
    assert_eq!(
        calls[0]["messageId"],
        refused["told"][0]["call"]["message_id"]
    );
}

#[tokio::test]
async fn what_waits_and_what_was_passed_by_say_why() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    segment
        .faults(json!([{ "status": 503, "times": "always" }]))
        .await;
    server.send_all(&[opened(1)]).await;
    let told = story(&server, "1", |told| reason(told).contains("503")).await;
    assert_eq!(outcome(&told), "waiting");
    change(&server, "enabled = true", "enabled = false", &[]);
    let told = story(&server, "1", |told| reason(told).contains("disabled")).await;
    assert_eq!(outcome(&told), "waiting");
    segment.no_faults().await;
    let from_now = ["--enable-from", "now"];
    change(&server, "enabled = false", "enabled = true", &from_now);
    let told = story(&server, "1", |told| outcome(told) == "passed").await;
    assert!(reason(&told).contains("enabled from a later event"));
    assert_eq!(segment.calls().await.len(), 0);
}

#[tokio::test]
async fn what_comes_by_can_be_filtered_and_followed() {
    let segment = Segment::start();
    let server = Server::start(&segment);
    let mut sms = opened(2);
    sms["object_type"] = json!("sms");
    sms["metric"] = json!("clicked");
    server.send_all(&[opened(1), sms]).await;
    segment.wait(2).await;
    let names = |watched: &Value| -> Vec<String> {
        let rows = watched["rows"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = server.api("/api/events").await;
    assert_eq!(names(&all), ["SMS Link Clicked", "Email Opened"]);
    assert_eq!((&all["passed"], &all["examined"]), (&json!(2), &json!(2)));
    for (filter, expected) in [
        ("channel:sms", vec!["SMS Link Clicked"]),
        ("event:open", vec!["Email Opened"]),
        ("person:person-1", vec!["Email Opened"]),
        ("-person:person-1", vec!["SMS Link Clicked"]),
        ("id:delivery-2", vec!["SMS Link Clicked"]),
        ("id:2", vec!["SMS Link Clicked"]),
        ("workspace:nowhere", vec![]),
        ("state:buried", vec![]),
        (
            "since:1h state:accepted",
            vec!["SMS Link Clicked", "Email Opened"],
        ),
        ("until:1h", vec![]),
    ] {
        let watched = server.api(&format!("/api/events?filter={filter}")).await;
        assert_eq!(names(&watched), expected, "{filter}");
    }
    let next = all["next"].as_str().unwrap();
    let path = format!("/api/events?after={next}");
    assert_eq!(names(&server.api(&path).await), [""; 0]);
    server.send_all(&[opened(3)]).await;
    let watched = server
        .api_until(&path, |watched| watched["passed"] == 1)
        .await;
    assert_eq!(names(&watched), ["Email Opened"]);
}
