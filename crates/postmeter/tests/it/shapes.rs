//! Every documented event, through the whole, to what Segment would store.
//!
//! What is expected is worked out here from the contract's words, not by the code
//! under test.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::harness::{Home, Segment, Server, contracts, read_json};

/// A connections file with a workspace and a connection per name, so that events
/// that share an id in the public samples are no duplicates of each other.
fn connections(names: &[String]) -> String {
    let one = |name: &String| {
        format!(
            "[[workspace]]\nname = \"{name}\"\nsignature = \"off\"\n\
             [[connection]]\nname = \"{name}\"\nworkspace = \"{name}\"\n\
             write_key = \"env:SEGMENT_WRITE_KEY\"\nendpoint = \"ENDPOINT\"\n"
        )
    };
    names.iter().map(one).collect()
}

async fn post(server: &Server, workspace: &str, event: &Value) {
    let url = format!("http://{}/webhooks/{workspace}", server.receive);
    let answer = server
        .http
        .post(url)
        .body(event.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{event}");
}

/// The Segment names that vendors printed, and the rule for the rest.
fn event_name(object_type: &str, metric: &str) -> String {
    let table = std::fs::read_to_string(contracts().join("segment/event-names.tsv")).unwrap();
    for line in table.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        if cells[..2] == [object_type, metric] {
            return cells[2].to_owned();
        }
    }
    if metric == "cio_subscription_preferences_changed" {
        return "Subscription Preferences Changed".to_owned();
    }
    let channel = match object_type {
        "sms" => "SMS",
        "in_app" => "In-App",
        "whatsapp" => "WhatsApp",
        "email" => "Email",
        "push" => "Push",
        "slack" => "Slack",
        "webhook" => "Webhook",
        other => panic!("no channel {other}"),
    };
    let mut metric = metric.to_owned();
    metric[..1].make_ascii_uppercase();
    format!("{channel} {metric}")
}

/// What 2.0.0 makes of an event's `data`, by the contract.
fn expected(event: &Value, object_type: &str) -> (Value, Value, Map<String, Value>) {
    let data = event["data"].as_object().unwrap();
    let id = match data.get("identifiers") {
        Some(identifiers) => &identifiers["id"],
        None => &data["customer_id"],
    };
    let email = data
        .get("identifiers")
        .and_then(|identifiers| identifiers.get("email"))
        .or_else(|| data.get("email_address"))
        .or_else(|| data.get("recipient").filter(|_| object_type == "email"))
        .filter(|email| !email.is_null())
        .cloned()
        .unwrap_or(Value::Null);
    let consumed = [
        "identifiers",
        "email_address",
        "customer_id",
        "href",
        "link_id",
    ];
    let v1_only = ["email_id", "campaign_name"];
    let mut properties = Map::new();
    for (key, value) in data {
        let known = consumed.contains(&key.as_str()) || v1_only.contains(&key.as_str());
        if !known && key != "content" && key != "headers" && !value.is_null() {
            properties.insert(key.clone(), value.clone());
        }
    }
    let mut link = Map::new();
    for (from, to) in [("link_id", "id"), ("href", "url")] {
        link.extend(data.get(from).map(|value| (to.to_owned(), value.clone())));
    }
    if !link.is_empty() {
        properties.insert("link".to_owned(), Value::Object(link));
    }
    if event["metric"] == "cio_subscription_preferences_changed" {
        if let Some(content) = data.get("content") {
            let parsed: Value = serde_json::from_str(content.as_str().unwrap()).unwrap();
            properties.insert("content".to_owned(), content.clone());
            properties.insert("topics".to_owned(), parsed["topics"].clone());
        }
    } else if data.contains_key("delivery_id")
        && ["email", "sms", "whatsapp"].contains(&object_type)
    {
        properties.insert("content".to_owned(), Value::Null);
    }
    properties.insert("userId".to_owned(), id.clone());
    (id.clone(), email, properties)
}

#[tokio::test]
async fn every_public_sample_is_stored_under_its_name_person_and_properties() {
    let folder = contracts().join("customerio/examples");
    let index = read_json(&folder.join("index.json"));
    let files: Vec<String> = index["examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|example| {
            example["file"]
                .as_str()
                .unwrap()
                .trim_end_matches(".json")
                .to_owned()
        })
        .collect();
    assert!(files.len() >= 16, "the samples have gone: {files:?}");
    let segment = Segment::start();
    let server = Home::new(&connections(&files), segment.url()).start();
    for file in &files {
        post(
            &server,
            file,
            &read_json(&folder.join(format!("{file}.json"))),
        )
        .await;
    }
    let calls = segment.wait(files.len()).await;
    assert_eq!(calls.len(), files.len());
    for file in &files {
        let event = read_json(&folder.join(format!("{file}.json")));
        let (object_type, metric) = match event["event_type"].as_str() {
            Some(old) => old.split_once('_').unwrap(),
            None => (
                event["object_type"].as_str().unwrap_or("customer"),
                event["metric"].as_str().unwrap(),
            ),
        };
        let (id, email, properties) = expected(&event, object_type);
        let name = event_name(object_type, metric);
        let found = calls.iter().any(|call| {
            call["event"] == name.as_str()
                && call["userId"] == id
                && call.get("anonymousId").is_none()
                && call["context"]["traits"]
                    .get("email")
                    .cloned()
                    .unwrap_or_default()
                    == email
                && call["properties"].as_object() == Some(&properties)
        });
        assert!(
            found,
            "{file}: no call {name} of {id}, {email} with {properties:#?} in {calls:#?}"
        );
    }
}

/// An event of a documented pair that has every field that the catalogue lists.
fn generated(n: usize, pair: &Value) -> Value {
    let mut data = Map::new();
    for (path, kind) in pair["fields"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("data.") else {
            continue;
        };
        let kind = kind.as_str().unwrap();
        let value = match path {
            "email_address" | "recipient" => json!(format!("p{n}@example.com")),
            "href" => json!("https://example.com/offer"),
            "content" if pair["metric"] == "cio_subscription_preferences_changed" => {
                json!(r#"{"topics": {"topic_1": true}}"#)
            }
            _ if kind.starts_with("object<") => json!({ "X-Custom": ["a"] }),
            _ if kind.starts_with("array") => {
                json!([{ "device_id": "d1", "device_platform": "ios" }])
            }
            _ if kind.starts_with("object") => json!({ "id": format!("person-{n}") }),
            _ if kind.starts_with("integer") => json!(n + 1),
            _ if kind.starts_with("boolean") => json!(true),
            _ if kind.starts_with("untyped") => json!(2),
            _ => json!(format!("{path}-{n}")),
        };
        if !path.contains(['.', '[']) {
            data.insert(path.to_owned(), value);
        }
    }
    // A person-level event carries the address and no message; both shapes of
    // `unsubscribed` have their own test.
    if data.contains_key("recipient") {
        data.remove("email_address");
    }
    json!({
        "event_id": format!("pair-{n}"),
        "object_type": pair["object_type"],
        "metric": pair["metric"],
        "timestamp": 1_600_000_000 + n,
        "data": data,
    })
}

#[tokio::test]
async fn every_documented_pair_is_stored_under_its_name_person_and_properties() {
    let catalogue = read_json(&contracts().join("customerio/events.json"));
    let pairs = catalogue["events"].as_array().unwrap();
    assert_eq!(pairs.len(), 93);
    let segment = Segment::start();
    let workspace = ["acme".to_owned()];
    let server = Home::new(&connections(&workspace), segment.url()).start();
    let events: Vec<Value> = pairs
        .iter()
        .enumerate()
        .map(|(n, pair)| generated(n, pair))
        .collect();
    for event in &events {
        post(&server, "acme", event).await;
    }
    let by_person: BTreeMap<String, Value> = segment
        .wait(93)
        .await
        .into_iter()
        .map(|call| (call["userId"].as_str().unwrap().to_owned(), call))
        .collect();
    assert_eq!(by_person.len(), 93);
    for (n, event) in events.iter().enumerate() {
        let call = &by_person[&format!("person-{n}")];
        let object_type = event["object_type"].as_str().unwrap();
        let name = event_name(object_type, event["metric"].as_str().unwrap());
        let (_, email, properties) = expected(event, object_type);
        assert_eq!(call["event"], name.as_str(), "{event}");
        assert_eq!(call["properties"].as_object(), Some(&properties), "{event}");
        let known = call["context"]["traits"]
            .get("email")
            .cloned()
            .unwrap_or_default();
        assert_eq!(known, email, "{event}");
        let happened = jiff::Timestamp::from_second(event["timestamp"].as_i64().unwrap()).unwrap();
        let original: jiff::Timestamp =
            call["originalTimestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(original, happened);
        assert_eq!(
            call["context"]["integration"],
            json!({"name": "customer.io", "version": "2.0.0"})
        );
        assert_eq!(call["integrations"], json!({"Customer.io": false}));
        assert!(call["messageId"].as_str().unwrap().starts_with("pm-"));
    }
}

#[tokio::test]
async fn both_shapes_of_an_email_unsubscribe_arrive() {
    let segment = Segment::start();
    let server = Home::new(&connections(&["acme".to_owned()]), segment.url()).start();
    let of_message = json!({
        "event_id": "u1", "object_type": "email", "metric": "unsubscribed", "timestamp": 1,
        "data": { "identifiers": { "id": "a" }, "delivery_id": "d", "recipient": "a@example.com", "subject": "s" },
    });
    let of_person = json!({
        "event_id": "u2", "object_type": "email", "metric": "unsubscribed", "timestamp": 1,
        "data": { "identifiers": { "id": null, "email": "b@example.com" }, "email_address": "b@example.com" },
    });
    post(&server, "acme", &of_message).await;
    post(&server, "acme", &of_person).await;
    let calls = segment.wait(2).await;
    let of = |id: &str| calls.iter().find(|call| call["userId"] == id).unwrap();
    assert_eq!(of("a")["event"], "Email Unsubscribed");
    assert_eq!(of("a")["properties"]["content"], Value::Null);
    assert!(
        of("a")["properties"]
            .as_object()
            .unwrap()
            .contains_key("content")
    );
    assert_eq!(of("")["event"], "Email Unsubscribed");
    assert_eq!(of("")["anonymousId"], "b@example.com");
    assert_eq!(
        of("")["properties"],
        json!({ "userId": "", "anonymousId": "b@example.com" })
    );
}

#[tokio::test]
async fn the_documented_payloads_stand_in_the_debugger_as_they_are_printed() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shape/golden");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(&golden).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("segment.json").exists() {
            cases.push(folder);
        }
    }
    assert_eq!(cases.len(), 6);
    for folder in cases {
        let printed = read_json(&folder.join("segment.json"));
        let segment = Segment::start();
        let mut document = connections(&["acme".to_owned()]);
        if folder.join("options.json").exists() {
            document.push_str("body_content = true\n");
        }
        let server = Home::new(&document, segment.url()).start();
        post(&server, "acme", &read_json(&folder.join("event.json"))).await;
        let call = &segment.wait(1).await[0];
        assert_same_form(call, &mended(printed), &folder.display().to_string());
    }
}

/// The printed payload without its known slips: one person has two ids in some
/// samples, and an `anonymousId` although there is an id.
fn mended(mut printed: Value) -> Value {
    printed["properties"]["userId"] = printed["userId"].clone();
    printed["properties"]
        .as_object_mut()
        .unwrap()
        .remove("anonymousId");
    printed
}

/// Asserts the same keys, nesting, types and values; of what depends on the
/// moment or on the sender's key, the form only.
fn assert_same_form(ours: &Value, printed: &Value, at: &str) {
    match (ours, printed) {
        (Value::Object(ours), Value::Object(printed)) => {
            let keys = |object: &Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(ours), keys(printed), "{at}");
            for (key, value) in ours {
                assert_same_form(value, &printed[key], &format!("{at}: {key}"));
            }
        }
        (Value::String(ours), Value::String(printed)) => {
            let of_the_moment = [
                "messageId",
                "receivedAt",
                "sentAt",
                ": timestamp",
                "writeKey",
            ];
            if at.ends_with("originalTimestamp") {
                let instant = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
                assert_eq!(instant(ours), instant(printed), "{at}");
            } else if !of_the_moment.iter().any(|key| at.ends_with(key)) {
                assert_eq!(ours, printed, "{at}");
            }
        }
        (ours, printed) => assert_eq!(ours, printed, "{at}"),
    }
}
