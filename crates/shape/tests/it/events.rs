//! What is read from a body, and which bodies cannot be read.

use std::borrow::Cow;

use jiff::Timestamp;
use shape::{Event, EventKey, MAX_EVENT_ID_BYTES, Unusable};

fn event(body: &str) -> Event<'_> {
    Event::parse(body.as_bytes()).expect("the body can be used")
}

fn refusal(body: &[u8]) -> String {
    Event::parse(body)
        .expect_err("the body cannot be used")
        .to_string()
}

/// An email event with this `data`.
fn email_with(data: &str) -> String {
    format!(r#"{{"object_type":"email","metric":"opened","data":{data}}}"#)
}

#[test]
fn broken_json_is_refused_with_its_place() {
    let torn_word = refusal(b"{\"metric\": \"sent\",\n  \"data\": {\"a\": tru}}");
    assert!(
        torn_word.starts_with("the body is not JSON: ")
            && torn_word.ends_with(" at line 2 column 20")
    );
    assert_eq!(
        refusal(b""),
        "the body is not JSON: EOF while parsing a value at line 1 column 0"
    );
    assert_eq!(
        refusal(b"{} {}"),
        "the body is not JSON: trailing characters at line 1 column 4"
    );
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    assert_eq!(
        refusal(b"{\"a\":\"\xff\"}"),
        "the body is not UTF-8 from byte 6 on"
    );
}

#[test]
fn json_of_another_type_is_refused_by_name() {
    for (body, refused) in [
        ("[1]", Unusable::NotAnObject),
        (" null ", Unusable::NotAnObject),
        ("\"text\"", Unusable::NotAnObject),
        ("1e400", Unusable::NotAnObject),
        (r#"{"metric":"sent","data":[]}"#, Unusable::DataNotAnObject),
        (
            r#"{"metric":"sent","data":"text"}"#,
            Unusable::DataNotAnObject,
        ),
        (
            r#"{"metric":"sent","data":false}"#,
            Unusable::DataNotAnObject,
        ),
        (r#"{"metric":5}"#, Unusable::MetricNotText),
        (
            r#"{"metric":{}, "event_type":"email_sent"}"#,
            Unusable::MetricNotText,
        ),
    ] {
        assert_eq!(Event::parse(body.as_bytes()).err(), Some(refused), "{body}");
    }
}

#[test]
fn a_key_that_is_no_text_is_refused_but_a_value_is_not() {
    assert!(refusal(br#"{"data":{"\ud800":1}}"#).contains("line 1 column"));
    let body = email_with(r#"{"identifiers":{"id":"\ud800x"}}"#);
    assert_eq!(event(&body).person().id.as_deref(), Some("\u{fffd}x"));
}

#[test]
fn a_body_without_a_metric_is_a_test_event() {
    for body in [
        "{}",
        r#"{"metric":null,"data":null}"#,
        r#"{"metric":"","event_type":" "}"#,
        r#"{"event_type":7,"object_type":"email"}"#,
    ] {
        assert_eq!(event(body).kind(), None, "{body}");
    }
}

#[test]
fn the_kind_is_found_in_every_generation_of_bodies() {
    for (body, name) in [
        (
            r#"{"object_type":"in_app","metric":"clicked"}"#,
            "in_app_clicked",
        ),
        (
            r#"{"object_type":"email","metric":"cl\u0069cked"}"#,
            "email_clicked",
        ),
        (
            r#"{"object_type_type":"sms","metric":"unsubscribed"}"#,
            "sms_unsubscribed",
        ),
        (
            r#"{"object_type":null,"delivery_type":"push","metric":"sent"}"#,
            "push_sent",
        ),
        (
            r#"{"metric":"cio_subscription_preferences_changed"}"#,
            "customer_subscription_preferences_changed",
        ),
        (
            r#"{"metric":"subscribed","data":{"email_address":null}}"#,
            "customer_subscribed",
        ),
        (
            r#"{"metric":"subscribed","data":{"recipient":"a@b"}}"#,
            "subscribed",
        ),
        (
            r#"{"object_type":"","metric":"opened","data":{"email_address":"a@b"}}"#,
            "opened",
        ),
        (r#"{"event_type":"in_app_opened"}"#, "in_app_opened"),
        (
            r#"{"event_type":"live_notification_sent"}"#,
            "live_notification_sent",
        ),
        (r#"{"event_type":"opened"}"#, "opened"),
        (r#"{"event_type":"email_"}"#, "email_"),
        (
            r#"{"event_type":"customer_subscription_preferences_changed"}"#,
            "customer_subscription_preferences_changed",
        ),
        (
            r#"{"event_type":"email_sent","object_type":"sms","metric":"opened"}"#,
            "sms_opened",
        ),
        (
            r#"{"metric":"sent","metric":"opened","object_type":"sms","object_type":"push"}"#,
            "push_opened",
        ),
    ] {
        let event = event(body);
        assert_eq!(
            event.kind().map(|kind| kind.name()).as_deref(),
            Some(name),
            "{body}"
        );
    }
}

#[test]
fn legacy_event_types_split_behind_the_channel() {
    for (event_type, object_type, metric) in [
        ("in_app_clicked", Some("in_app"), "clicked"),
        ("customer_unsubscribed", Some("customer"), "unsubscribed"),
        ("carrier_pigeon_sent", Some("carrier"), "pigeon_sent"),
        ("_sent", None, "_sent"),
    ] {
        let body = format!(r#"{{"event_type":"{event_type}"}}"#);
        let event = event(&body);
        let kind = event.kind().expect("a kind");
        assert_eq!((kind.object_type, kind.metric), (object_type, metric));
    }
}

#[test]
fn the_key_is_the_event_id_else_a_hash_of_the_body() {
    for (id, key) in [
        (
            r#""01E4C8BES5XT87ZWRJFTB35YJ3""#,
            "01E4C8BES5XT87ZWRJFTB35YJ3",
        ),
        (r#""a\u0062""#, "ab"),
        ("5.0", "5.0"),
        (r#"{"a": 1}"#, r#"{"a": 1}"#),
    ] {
        let body = format!(r#"{{"event_id": {id} }}"#);
        assert_eq!(event(&body).key().as_str(), key);
    }
    let long = "x".repeat(MAX_EVENT_ID_BYTES + 1);
    for id in ["null", "\"\"", &format!("\"{long}\"")] {
        let body = format!(r#"{{"event_id":{id}}}"#);
        assert_eq!(event(&body).key(), EventKey::of_body(body.as_bytes()));
    }
    assert_eq!(
        EventKey::of_body(b"nonsense").to_string(),
        "body:999aaa8645bb72ff599e143b1e3d2a94777127f4783a69f067251f7bbebc5ab6"
    );
}

#[test]
fn only_a_string_is_an_event_id() {
    assert_eq!(event(r#"{"event_id":"a\/b"}"#).event_id(), Some("a/b"));
    for body in [
        "{}",
        r#"{"event_id":""}"#,
        r#"{"event_id":5}"#,
        r#"{"event_id":null}"#,
    ] {
        assert_eq!(event(body).event_id(), None, "{body}");
    }
}

/// The id, the email and the `cio_id` that an email event with this `data` gives.
fn person(data: &str) -> [Option<String>; 3] {
    let body = email_with(data);
    let person = event(&body).person();
    [person.id, person.email, person.cio_id].map(|text| text.map(Cow::into_owned))
}

#[test]
fn the_person_is_who_the_identifiers_say() {
    for (data, expected) in [
        (
            r#"{"identifiers":{"id":"42","email":"a@b","cio_id":"c1"}}"#,
            [Some("42"), Some("a@b"), Some("c1")],
        ),
        (r#"{"identifiers":{"id":42.0}}"#, [Some("42.0"), None, None]),
        (
            r#"{"identifiers":{"id":"1","id":"2"}}"#,
            [Some("2"), None, None],
        ),
        (
            r#"{"identifiers":{"id":"","email":"","cio_id":""}}"#,
            [None; 3],
        ),
        (
            r#"{"identifiers":{"id":true,"email":5,"cio_id":[]}}"#,
            [None; 3],
        ),
    ] {
        assert_eq!(
            person(data),
            expected.map(|text| text.map(str::to_owned)),
            "{data}"
        );
    }
}

#[test]
fn the_deprecated_id_counts_only_without_identifiers() {
    for (data, id) in [
        (
            r#"{"identifiers":{"id":"42"},"customer_id":"old"}"#,
            Some("42"),
        ),
        (r#"{"identifiers":{},"customer_id":"old"}"#, None),
        (r#"{"identifiers":null,"customer_id":"old"}"#, Some("old")),
        (r#"{"identifiers":"odd","customer_id":568}"#, Some("568")),
        (r#"{"customer_id":""}"#, None),
    ] {
        assert_eq!(person(data), [id.map(str::to_owned), None, None], "{data}");
    }
}

#[test]
fn the_email_address_is_the_one_that_names_itself_best() {
    for (data, email) in [
        (
            r#"{"identifiers":{"email":"e@f"},"email_address":"a@b","recipient":"c@d"}"#,
            "e@f",
        ),
        (
            r#"{"identifiers":{"email":null},"email_address":"a@b","recipient":"c@d"}"#,
            "a@b",
        ),
        (r#"{"email_address":"","recipient":"c@d"}"#, "c@d"),
    ] {
        assert_eq!(person(data), [None, Some(email.to_owned()), None], "{data}");
    }
}

#[test]
fn a_recipient_is_an_email_address_on_the_email_channel_only() {
    for (object_type, email) in [
        ("email", Some("someone")),
        ("sms", None),
        ("slack", None),
        ("webhook", None),
        ("in_app", None),
    ] {
        let body = format!(
            r#"{{"object_type":"{object_type}","metric":"sent","data":{{"recipient":"someone"}}}}"#
        );
        assert_eq!(
            event(&body).person().email.as_deref(),
            email,
            "{object_type}"
        );
    }
}

#[test]
fn the_time_is_read_from_any_form_of_seconds() {
    for (timestamp, time) in [
        ("1585254348", Some("2020-03-26T20:25:48Z")),
        ("1585254348.605", Some("2020-03-26T20:25:48.605Z")),
        ("1.585254348e9", Some("2020-03-26T20:25:48Z")),
        ("\" 1585254348 \"", Some("2020-03-26T20:25:48Z")),
        ("\"1585254348.25\"", Some("2020-03-26T20:25:48.25Z")),
        ("-1", Some("1969-12-31T23:59:59Z")),
        ("-62135596800", Some("0001-01-01T00:00:00Z")),
        ("-62135596801", None),
        ("1585254348000", None),
        ("1e400", None),
        ("99999999999999999999", None),
        ("\"soon\"", None),
        ("\"nan\"", None),
        ("\"\"", None),
        ("true", None),
        ("[1585254348]", None),
        ("null", None),
    ] {
        let body = format!(r#"{{"timestamp":{timestamp}}}"#);
        let expected = time.map(|time| time.parse::<Timestamp>().expect("a time"));
        assert_eq!(event(&body).timestamp(), expected, "{timestamp}");
    }
}

#[test]
fn a_delivery_id_is_text_or_a_number() {
    for (id, found) in [
        (r#""RPIL=""#, Some("RPIL=")),
        ("17", Some("17")),
        ("\"\"", None),
        ("null", None),
        ("{}", None),
    ] {
        let body = email_with(&format!(r#"{{"delivery_id":{id}}}"#));
        assert_eq!(event(&body).delivery_id().as_deref(), found, "{id}");
    }
}

#[test]
fn debug_output_shows_no_address() {
    let body = email_with(r#"{"recipient":"secret@example.com"}"#);
    assert!(!format!("{:?}", event(&body)).contains("secret"));
}
