//! What a filter lets pass, how it reads back, and what it says of mistakes.

use journal::{Partition, Place, Seq};

use super::*;
use crate::seen::{Came, Channel};

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn parse(text: &str) -> Filter {
    Filter::parse(text, now()).unwrap()
}

fn opened() -> Row {
    Row {
        place: Place::new(Partition::ZERO, Seq::new(4711)),
        received_at: "2026-11-23T11:00:00Z".parse().unwrap(),
        came: Came::Live,
        workspace: "acme".to_owned(),
        kind: RowKind::Event,
        name: "Email Opened".to_owned(),
        channel: Channel::Email,
        person: Some("u, 42".to_owned()),
        email: Some("u@example.org".to_owned()),
        event_id: Some("01E4C4".to_owned()),
        delivery_id: Some("RPILA".to_owned()),
        ends: vec![
            end("one", Outcome::Accepted { took_ms: None }),
            end(
                "two",
                Outcome::Buried {
                    letter: Some(7),
                    reason: "Segment answered 400 to this call alone".to_owned(),
                },
            ),
        ],
    }
}

fn end(connection: &str, outcome: Outcome) -> RowEnd {
    RowEnd {
        connection: connection.to_owned(),
        outcome,
    }
}

#[test]
fn all_conditions_hold_and_any_value_of_a_key_will_do() {
    for (text, is_wanted) in [
        ("", true),
        ("channel:email", true),
        ("channel:sms,email", true),
        ("channel:sms channel:email", true),
        ("channel:sms", false),
        ("-channel:sms", true),
        ("-channel:email", false),
        ("channel:email workspace:other", false),
        ("event:opened", true),
        ("event:\"email opened\"", true),
        ("event:clicked", false),
        ("person:\"u, 42\"", true),
        ("person:u", false),
        ("person:u@example.org", true),
        ("-person:u@example.org", false),
        ("id:RPILA", true),
        ("id:01E4C4,other", true),
        ("id:4711", true),
        ("id:pm-abc", true),
        ("id:opened", false),
        ("since:2h until:2026-11-23T11:30Z", true),
        ("since:30m", false),
        ("until:2026-11-23T11:00:00Z", false),
        ("since:2026-11-23T11:00:00Z", true),
        ("since:2026-11-23", true),
    ] {
        let found = parse(text).wants(&opened(), &["pm-abc".to_owned()]);
        assert_eq!(found, is_wanted, "{text}");
    }
}

#[test]
fn what_became_of_it_is_asked_of_one_connection_at_a_time() {
    for (text, is_wanted) in [
        ("state:accepted", true),
        ("state:buried connection:two", true),
        ("state:buried connection:one", false),
        ("state:waiting", false),
        ("reason:\"answered 400\"", true),
        ("reason:500", false),
        ("connection:three", false),
    ] {
        assert_eq!(parse(text).wants(&opened(), &[]), is_wanted, "{text}");
    }
}

#[test]
fn what_a_record_is_counts_as_its_state_even_where_no_connection_is() {
    let mut row = opened();
    row.kind = RowKind::Unusable {
        reason: "not JSON".to_owned(),
    };
    row.ends.clear();
    assert!(parse("state:unusable reason:json").wants(&row, &[]));
    assert!(!parse("state:duplicate").wants(&row, &[]));
    assert!(!parse("connection:one").wants(&row, &[]));
}

#[test]
fn a_filter_reads_back_as_it_was_written() {
    for text in [
        "",
        "workspace:acme -connection:one channel:email,sms -event:\"a \\\"b\\\" \\\\ c\"",
        "person:\"u, 42\" id:4711 state:buried reason:\"400\" since:7d until:1h",
    ] {
        let filter = parse(text);
        assert_eq!(parse(&filter.to_string()), filter, "{filter}");
    }
}

#[test]
fn every_mistake_is_told_with_what_may_be_written() {
    let mistakes = |text| Filter::parse(text, now()).unwrap_err().join("\n");
    for (text, hint) in [
        ("opened", "write a key and a value"),
        ("colour:red", "there are workspace, connection, channel"),
        ("channel:fax", "it is one of email, push"),
        ("state:lost", "it is one of accepted"),
        ("person:", "empty value"),
        ("event:\"a", "not closed"),
        ("since:yesterday", "2026-11-01T10:30Z"),
        ("since:1h since:2h", "stands once"),
        ("-since:1h", "stands once"),
        ("since:1h until:2h", "nothing is since"),
    ] {
        assert!(mistakes(text).contains(hint), "{text}: {}", mistakes(text));
    }
    assert_eq!(Filter::parse("a b", now()).unwrap_err().len(), 2);
    let long = "x".repeat(Filter::MAX_BYTES + 1);
    assert!(mistakes(&long).contains("at most"));
}

#[test]
fn a_field_of_a_form_replaces_what_was_said_of_its_key() {
    let filter = parse("person:a,b -person:c state:buried");
    let narrowed = filter.clone().narrowed(Key::Person, "d, e").unwrap();
    assert_eq!(narrowed.to_string(), "person:\"d, e\" state:buried");
    let mistake = filter.narrowed(Key::Channel, "fax").unwrap_err();
    assert!(mistake.contains("email, push"), "{mistake}");
}

#[test]
fn a_discreet_filter_says_nothing_of_a_person() {
    let filter = parse("person:ada@example.org -person:bob id:RPILA");
    let said = filter.discreet();
    assert_eq!(said, "person:(hidden) -person:(hidden) id:RPILA");
}
