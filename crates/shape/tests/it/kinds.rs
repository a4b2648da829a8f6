//! All documented kinds, and what a connection selects and renames of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use shape::{
    BadPattern, Call, Event, Mapping, Names, NewKinds, Options, Selection, Shaped, Skip, catalogue,
    shape,
};

use crate::cases::contract;

/// One entry of `contracts/customerio/events.json`.
struct Documented {
    object_type: String,
    metric: String,
    /// The members of `data`, by path, with the type in words.
    fields: BTreeMap<String, String>,
}

impl Documented {
    fn all() -> Vec<Documented> {
        let contract: Value =
            serde_json::from_str(&contract("customerio/events.json")).expect("JSON");
        let events = contract["events"].as_array().expect("a list");
        events.iter().map(Documented::read).collect()
    }

    fn read(event: &Value) -> Documented {
        let text = |key: &str| event[key].as_str().expect("text").to_owned();
        let fields = event["fields"].as_object().expect("fields").iter();
        let fields = fields
            .filter_map(|(path, kind)| {
                let path = path.strip_prefix("data.")?.to_owned();
                Some((path, kind.as_str().expect("text").to_owned()))
            })
            .collect();
        Documented {
            object_type: text("object_type"),
            metric: text("metric"),
            fields,
        }
    }

    fn body(&self) -> Value {
        json!({
            "event_id": "01E4C8BES5XT87ZWRJFTB35YJ3",
            "object_type": self.object_type,
            "metric": self.metric,
            "timestamp": 1_585_254_348,
            "data": self.data(),
        })
    }

    fn data(&self) -> Map<String, Value> {
        let mut data = Map::new();
        for (number, (path, kind)) in self.fields.iter().enumerate() {
            match path.split_once(['.', '[']) {
                None => _ = data.insert(path.clone(), sample(path, kind, number)),
                Some(("identifiers", _)) => (),
                Some(("recipients", rest)) => {
                    let key = rest.trim_start_matches("].");
                    data["recipients"][0][key] = sample(key, kind, number);
                }
                Some((other, _)) => {
                    panic!("{other} is nested in a way that this test does not know")
                }
            }
        }
        data
    }

    /// The properties that the rules make of the body, written down anew.
    fn properties(&self) -> Map<String, Value> {
        let mut properties = self.data();
        for consumed in [
            "identifiers",
            "email_address",
            "customer_id",
            "content",
            "headers",
        ] {
            properties.remove(consumed);
        }
        let (id, url) = (properties.remove("link_id"), properties.remove("href"));
        if let (Some(id), Some(url)) = (id, url) {
            properties.insert("link".to_owned(), json!({"id": id, "url": url}));
        }
        if self.metric == "cio_subscription_preferences_changed" {
            properties.insert("content".to_owned(), json!(CONTENT));
            properties.insert("topics".to_owned(), json!({"topic_1": true}));
        } else if ["email", "sms", "whatsapp"].contains(&&*self.object_type)
            && self.fields.contains_key("delivery_id")
        {
            properties.insert("content".to_owned(), Value::Null);
        }
        properties.insert("userId".to_owned(), json!("42"));
        properties
    }
}

const CONTENT: &str = r#"{"topics":{"topic_1":true}}"#;

/// A value of the type that `kind` says; each number is another.
fn sample(key: &str, kind: &str, number: usize) -> Value {
    match key {
        "identifiers" => json!({"id": "42", "email": "test@example.com", "cio_id": "d9c106000001"}),
        "recipients" => json!([{}]),
        "content" => json!(CONTENT),
        "headers" => json!({"X-Campaign": ["spring"]}),
        _ if kind.starts_with("integer") || kind.starts_with("untyped") => json!(number),
        _ if kind.starts_with("string") => json!(format!("{key} {number}")),
        _ if kind.starts_with("boolean") => json!(number.is_multiple_of(2)),
        _ => panic!("{key} has a type that this test does not know: {kind}"),
    }
}

fn call(body: &str, options: &Options) -> Call {
    let event = Event::parse(body.as_bytes()).expect("the body can be used");
    match shape(&event, None, options, &Names::default()) {
        Shaped::Call(call) => call,
        other => panic!("{body} became {other:?}"),
    }
}

/// The names that `contracts/segment/event-names.tsv` prints.
fn printed_names() -> BTreeMap<(String, String), String> {
    let table = contract("segment/event-names.tsv");
    table
        .lines()
        .skip(1)
        .map(|line| {
            let mut columns = line.split('\t').map(str::to_owned);
            let mut next = || columns.next().expect("a column");
            ((next(), next()), next())
        })
        .collect()
}

#[test]
fn every_documented_kind_becomes_a_call_with_its_name_person_and_properties() {
    let documented = Documented::all();
    assert_eq!(documented.len(), 93);
    for kind in documented {
        let call = call(&kind.body().to_string(), &Options::default());
        let json: Value = serde_json::from_str(&call.json).expect("JSON");
        let known = catalogue()
            .find(|known| known.object_type == kind.object_type && known.metric == kind.metric)
            .expect("the catalogue has it");
        assert_eq!((&*call.name, call.mapping), (known.event, known.mapping));
        assert_eq!(json["event"], call.name);
        assert_eq!(json["userId"], "42");
        assert_eq!(json.get("anonymousId"), None);
        assert_eq!(json["context"]["traits"]["email"], "test@example.com");
        assert_eq!(
            json["properties"],
            Value::Object(kind.properties()),
            "{}",
            known.kind()
        );
    }
}

#[test]
fn the_catalogue_is_that_of_the_contracts() {
    let known: BTreeSet<(String, String)> = catalogue()
        .map(|known| (known.object_type.to_owned(), known.metric.to_owned()))
        .collect();
    let documented: BTreeSet<(String, String)> = Documented::all()
        .into_iter()
        .map(|kind| (kind.object_type, kind.metric))
        .collect();
    assert_eq!(known, documented);
    assert_eq!(catalogue().count(), known.len(), "each pair once");

    let mapped: BTreeMap<(String, String), String> = catalogue()
        .filter(|known| known.mapping == Mapping::Mapped)
        .map(|known| {
            (
                (known.object_type.to_owned(), known.metric.to_owned()),
                known.event.to_owned(),
            )
        })
        .collect();
    assert_eq!(mapped, printed_names());
}

#[test]
fn a_kind_outside_of_the_catalogue_is_sent_as_unmapped() {
    for (body, name) in [
        (
            r#"{"object_type":"line","metric":"clicked","data":{"identifiers":{"id":"1"}}}"#,
            "Line Link Clicked",
        ),
        (
            r#"{"object_type":"in_app","metric":"snoozed","data":{"identifiers":{"id":"1"}}}"#,
            "In-App Snoozed",
        ),
        (
            r#"{"metric":"link_followed","data":{"identifiers":{"id":"1"}}}"#,
            "Link Followed",
        ),
    ] {
        let call = call(body, &Options::default());
        assert_eq!((&*call.name, call.mapping), (name, Mapping::Unmapped));
    }
}

/// Whether `patterns` let the event through; `data` decides the family.
fn is_selected(selection: &Selection, kind: (&str, &str), data: &Value) -> bool {
    let (object_type, metric) = kind;
    let body = json!({"object_type": object_type, "metric": metric, "data": data}).to_string();
    let options = Options {
        events: selection.clone(),
        ..Options::default()
    };
    let event = Event::parse(body.as_bytes()).expect("the body can be used");
    match shape(&event, None, &options, &Names::default()) {
        Shaped::Call(_) => true,
        Shaped::Skip(Skip::NotSelected { .. }) => false,
        other => panic!("{body} became {other:?}"),
    }
}

fn about_message() -> Value {
    json!({"identifiers": {"id": "42"}, "delivery_id": "RPIL", "recipient": "test@example.com"})
}

fn about_person() -> Value {
    json!({"identifiers": {"id": "42"}, "email_address": null})
}

fn selection(patterns: &[&str]) -> Selection {
    Selection::parse(patterns).expect("good patterns")
}

#[test]
fn only_selected_kinds_are_sent() {
    for (patterns, kind, expected) in [
        (&["*"][..], ("sms", "sent"), true),
        (&["email_*"], ("email", "opened"), true),
        (&["email_*"], ("sms", "opened"), false),
        (&["*_clicked", "sms_sent"], ("in_app", "clicked"), true),
        (&["*_clicked", "sms_sent"], ("sms", "sent"), true),
        (&["*_clicked", "sms_sent"], ("email", "sent"), false),
        (&[], ("email", "sent"), false),
    ] {
        assert_eq!(
            is_selected(&selection(patterns), kind, &about_message()),
            expected,
            "{patterns:?} {kind:?}"
        );
    }
}

#[test]
fn an_unselected_event_says_its_kind() {
    let event = br#"{"object_type":"email","metric":"sent"}"#;
    let event = Event::parse(event).expect("the body can be used");
    let options = Options {
        events: selection(&["sms_*"]),
        ..Options::default()
    };
    let Shaped::Skip(skip) = shape(&event, None, &options, &Names::default()) else {
        panic!("it was not skipped");
    };
    assert_eq!(skip.to_string(), "email_sent is not selected");
}

#[test]
fn consent_is_selected_by_the_person_and_by_the_channel() {
    for (pattern, metric, data, expected) in [
        (
            "customer_unsubscribed",
            "unsubscribed",
            about_person(),
            true,
        ),
        (
            "customer_unsubscribed",
            "unsubscribed",
            about_message(),
            false,
        ),
        ("email_unsubscribed", "unsubscribed", about_person(), true),
        ("email_unsubscribed", "unsubscribed", about_message(), true),
        ("customer_subscribed", "unsubscribed", about_person(), false),
        (
            "customer_subscription_preferences_changed",
            "cio_subscription_preferences_changed",
            about_message(),
            true,
        ),
        (
            "customer_cio_subscription_preferences_changed",
            "cio_subscription_preferences_changed",
            about_message(),
            true,
        ),
        (
            "email_subscription_preferences_changed",
            "cio_subscription_preferences_changed",
            about_person(),
            true,
        ),
        (
            "sms_subscription_preferences_changed",
            "cio_subscription_preferences_changed",
            about_person(),
            false,
        ),
    ] {
        let selection = selection(&[pattern]);
        assert_eq!(
            is_selected(&selection, ("email", metric), &data),
            expected,
            "{pattern} {data}"
        );
    }
}

#[test]
fn new_kinds_follow_their_own_policy() {
    let new = ("email", "soft_bounced");
    let person = ("line", "unsubscribed");
    for (policy, patterns, kind, expected) in [
        (NewKinds::ByPattern, &["email_*"][..], new, true),
        (NewKinds::ByPattern, &["sms_*"], new, false),
        (NewKinds::On, &["sms_*"], new, true),
        (NewKinds::Off, &["*"], new, false),
        (NewKinds::Off, &["customer_*"], person, true),
        (NewKinds::On, &["email_sent"], ("email", "opened"), false),
    ] {
        let selection = selection(patterns).with_new_kinds(policy);
        assert_eq!(
            is_selected(&selection, kind, &about_person()),
            expected,
            "{policy:?} {patterns:?} {kind:?}"
        );
    }
    assert!(is_selected(&Selection::all(), new, &about_person()));
    assert!(!is_selected(
        &Selection::all().with_new_kinds(NewKinds::Off),
        new,
        &about_person()
    ));
}

#[test]
fn bad_patterns_are_all_named_at_once() {
    let bad = Selection::parse(&["email_*", "emial_*", "", "Email_sent", "email_cliked"])
        .expect_err("bad patterns");
    let written: Vec<&str> = bad.iter().map(BadPattern::written).collect();
    assert_eq!(written, ["emial_*", "", "Email_sent", "email_cliked"]);
    let said: Vec<String> = bad.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "\"emial_*\" covers no kind of event that is known",
            "a pattern is empty",
            "\"Email_sent\" has 'E', which no kind of event has",
            "\"email_cliked\" covers no kind of event that is known",
        ]
    );
}

#[test]
fn every_kind_of_the_catalogue_is_a_pattern_of_its_own() {
    for known in catalogue() {
        let selection = selection(&[&known.kind()]);
        for other in catalogue().filter(|other| other.object_type != "customer") {
            let kind = (other.object_type, other.metric);
            let is_same = kind == (known.object_type, known.metric);
            let is_consent = known.object_type == "customer" && known.metric == other.metric;
            let expected = is_same || is_consent;
            assert_eq!(
                is_selected(&selection, kind, &about_person()),
                expected,
                "{} {kind:?}",
                known.kind()
            );
        }
    }
}

#[test]
fn a_selection_keeps_its_patterns_as_written() {
    assert_eq!(
        selection(&["email_*", "sms_sent"])
            .patterns()
            .collect::<Vec<_>>(),
        ["email_*", "sms_sent"]
    );
    assert_eq!(Selection::all().patterns().collect::<Vec<_>>(), ["*"]);
}

#[test]
fn events_are_renamed_by_kind_before_name() {
    for (renames, body, name) in [
        (
            &[("Email Opened", "by name")][..],
            ("email", "opened"),
            "by name",
        ),
        (
            &[("Email Opened", "by name"), ("email_opened", "by kind")],
            ("email", "opened"),
            "by kind",
        ),
        (
            &[("email_opened", "by kind")],
            ("email", "clicked"),
            "Email Link Clicked",
        ),
        (
            &[("email_opened", "  ")],
            ("email", "opened"),
            "Email Opened",
        ),
        (
            &[("customer_unsubscribed", "Left")],
            ("sms", "unsubscribed"),
            "Left",
        ),
        (
            &[("email_cio_subscription_preferences_changed", "Chose")],
            ("email", "cio_subscription_preferences_changed"),
            "Chose",
        ),
        (
            &[("customer_subscription_preferences_changed", "Chose")],
            ("email", "cio_subscription_preferences_changed"),
            "Chose",
        ),
    ] {
        let renames = renames
            .iter()
            .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
            .collect();
        let options = Options {
            renames,
            ..Options::default()
        };
        let (object_type, metric) = body;
        let body = json!({"object_type": object_type, "metric": metric, "data": about_person()})
            .to_string();
        let call = call(&body, &options);
        let json: Value = serde_json::from_str(&call.json).expect("JSON");
        assert_eq!((&*call.name, &json["event"]), (name, &json!(name)));
    }
}
