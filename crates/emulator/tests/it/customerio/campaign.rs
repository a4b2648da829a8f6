//! Invented traffic: deterministic, plausible, and about nobody.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use emulator::customerio::{Campaign, Channel, Content, Event, every_pair};
use jiff::Timestamp;
use serde_json::Value;

fn start() -> Timestamp {
    "2026-03-01T08:00:00Z".parse().unwrap()
}

fn campaign(events: u64) -> Campaign {
    Campaign {
        events: Some(events),
        ..Campaign::new(42, start())
    }
}

fn bodies(campaign: Campaign) -> Vec<Value> {
    campaign.into_iter().map(|event| json(&event)).collect()
}

fn json(event: &Event) -> Value {
    serde_json::from_slice(event.body()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let events: Vec<Event> = campaign(2_000).into_iter().collect();
    assert_eq!(events.len(), 2_000);
    let again: Vec<Event> = campaign(2_000).into_iter().collect();
    assert!(events == again);
    let other = Campaign {
        seed: 43,
        ..campaign(2_000)
    };
    let other: Vec<Event> = other.into_iter().collect();
    assert!(events != other);
    assert!(every_pair(1, start()) == every_pair(1, start()));
}

#[test]
fn events_come_in_the_order_of_their_time_at_about_the_rate_asked_for() {
    for rate in [1, 50, 2_000] {
        let events = bodies(Campaign {
            rate: rate.try_into().unwrap(),
            ..campaign(6_000)
        });
        let times: Vec<i64> = events
            .iter()
            .map(|event| event["timestamp"].as_i64().unwrap())
            .collect();
        assert!(times.is_sorted());
        assert!(times[0] >= start().as_second());
        // What is on its way when the count ends is missing; never is there more than was asked for.
        let span = times[5_999] - times[0];
        let exact = 6_000 / i64::from(rate);
        assert!(span >= exact * 9 / 10, "{span} s instead of {exact}");
    }
}

#[test]
fn a_delivery_is_sent_before_it_is_opened_and_opened_before_it_is_clicked() {
    let mut seen: HashMap<String, BTreeSet<String>> = HashMap::new();
    let mut n_clicked = 0;
    for event in bodies(campaign(6_000)) {
        let Some(delivery) = event["data"]["delivery_id"].as_str() else {
            continue;
        };
        let before = seen.entry(delivery.to_owned()).or_default();
        let metric = event["metric"].as_str().unwrap();
        let needs: &[&str] = match (event["object_type"].as_str().unwrap(), metric) {
            ("email", "opened") => &["sent", "delivered"],
            ("email", "clicked" | "unsubscribed") => &["opened"],
            (_, "delivered" | "opened" | "clicked" | "bounced" | "replied") => &["sent"],
            (_, "converted") => &["clicked"],
            _ => &[],
        };
        for needed in needs {
            assert!(
                before.contains(*needed),
                "{metric} without {needed}: {before:?}"
            );
        }
        n_clicked += usize::from(metric == "clicked");
        before.insert(metric.to_owned());
    }
    assert!(n_clicked > 50, "{n_clicked} clicks");
}

#[test]
fn every_id_is_of_its_kind_and_no_event_id_comes_twice() {
    let events = bodies(campaign(6_000));
    let ids: BTreeSet<&str> = events
        .iter()
        .map(|event| event["event_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), events.len());
    let crockford = |id: &str| {
        id.len() == 26
            && id
                .chars()
                .all(|c| c.is_ascii_digit() || (c.is_ascii_uppercase() && !"ILOU".contains(c)))
    };
    assert!(ids.iter().all(|id| crockford(id)));
    let mut kinds = BTreeSet::new();
    for event in &events {
        let data = &event["data"];
        if let Some(delivery) = data["delivery_id"].as_str() {
            let url_safe = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
            assert!(
                [28, 32, 36].contains(&delivery.len()) && delivery.chars().all(url_safe),
                "{delivery}"
            );
        }
        kinds.insert(match &data["action_id"] {
            Value::Number(_) => "number",
            Value::String(text) if text.starts_with('n') => "n and number",
            Value::Null => "none",
            other => panic!("an action_id like {other}"),
        });
    }
    assert_eq!(kinds, BTreeSet::from(["n and number", "none", "number"]));
}

#[test]
fn people_are_invented_and_known_by_different_identifiers() {
    let mut shapes: BTreeMap<String, usize> = BTreeMap::new();
    for event in bodies(campaign(6_000)) {
        let text = event.to_string();
        for word in text
            .split('"')
            .filter(|word| word.contains('@') && !word.contains('<'))
        {
            assert!(word.ends_with("@example.com"), "{word}");
        }
        let identifiers = &event["data"]["identifiers"];
        let known: Vec<&str> = ["id", "email", "cio_id"]
            .into_iter()
            .filter(|name| identifiers[name].is_string())
            .collect();
        *shapes.entry(known.join("+")).or_default() += 1;
    }
    let shapes: Vec<&str> = shapes.keys().map(String::as_str).collect();
    assert_eq!(shapes, ["cio_id", "email+cio_id", "id", "id+email+cio_id"]);
}

#[test]
fn a_person_has_the_same_identifiers_in_every_message() {
    let mut known: HashMap<String, Value> = HashMap::new();
    let few = Campaign {
        people: 20.try_into().unwrap(),
        channels: vec![Channel::Email],
        ..campaign(5_000)
    };
    for event in bodies(few) {
        let data = &event["data"];
        let Some(recipient) = data["recipient"].as_str() else {
            continue;
        };
        let first = known
            .entry(recipient.to_owned())
            .or_insert_with(|| data["identifiers"].clone());
        assert_eq!(*first, data["identifiers"]);
    }
    assert_eq!(known.len(), 20);
}

#[test]
fn only_the_channels_asked_for_appear() {
    for channel in Channel::ALL {
        let only = Campaign {
            channels: vec![channel],
            ..campaign(200)
        };
        assert!(
            bodies(only)
                .iter()
                .all(|event| event["object_type"] == channel.as_str())
        );
        assert_eq!(channel.as_str().parse(), Ok(channel));
    }
    let none = Campaign {
        channels: vec![],
        ..campaign(200)
    };
    assert!(bodies(none).is_empty());
    assert_eq!(
        "fax".parse::<Channel>().unwrap_err().to_string(),
        "\"fax\" is no channel"
    );
}

#[test]
fn bodies_are_reported_only_where_content_is_on() {
    let with = |content| {
        let events = bodies(Campaign {
            content,
            ..campaign(2_000)
        });
        let mut metrics = BTreeSet::new();
        for event in events {
            if !event["data"]["content"].is_null() {
                metrics.insert(event["metric"].as_str().unwrap().to_owned());
            }
        }
        metrics
    };
    assert!(with(Content::Omitted).is_empty());
    let metrics = with(Content::Included);
    let expected = ["cio_subscription_preferences_changed", "sent"].map(str::to_owned);
    assert_eq!(metrics, BTreeSet::from(expected));
}

/// The contract lists some fields as required that its own samples lack; these are the vendor's slips.
fn is_a_slip(pair: (&str, &str), field: &str) -> bool {
    matches!((pair, field), (("email", "failed"), "recipient"))
}

#[test]
fn the_catalogue_has_every_documented_pair_with_its_required_fields_and_no_other_pair() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../contracts/customerio/events.json"
    );
    let contract: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut events = BTreeMap::new();
    for event in every_pair(7, start()) {
        let event = json(&event);
        let word = |name: &str| event[name].as_str().unwrap().to_owned();
        assert!(
            events
                .insert((word("object_type"), word("metric")), event.clone())
                .is_none()
        );
    }
    let documented = contract["events"].as_array().unwrap();
    assert_eq!(events.len(), documented.len());
    for pair in documented {
        let names = (
            pair["object_type"].as_str().unwrap(),
            pair["metric"].as_str().unwrap(),
        );
        let event = &events[&(names.0.to_owned(), names.1.to_owned())];
        let fields = pair["fields"].as_object().unwrap();
        for (field, description) in fields {
            let Some(field) = field.strip_prefix("data.") else {
                continue;
            };
            let required = description.as_str().unwrap().contains("required");
            if !required || field.contains(['.', '[']) || is_a_slip(names, field) {
                continue;
            }
            assert!(
                !event["data"][field].is_null(),
                "{names:?} lacks {field}: {event}"
            );
        }
        for field in event["data"].as_object().unwrap().keys() {
            let known = fields.keys().any(|known| known == &format!("data.{field}"));
            assert!(
                known,
                "{names:?} has {field}, which the contract does not: {event}"
            );
        }
    }
}
