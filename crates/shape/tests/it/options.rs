//! The options that are no matter of kinds or sizes.

use serde_json::{Value, json};
use shape::{
    Burial, Call, Event, FirstPer, Names, Occurrence, Options, PayloadVersion, SendFrequency,
    Shaped, Skip, message_id, shape,
};

fn shaped(body: &Value, options: &Options) -> Shaped {
    let body = body.to_string();
    let event = Event::parse(body.as_bytes()).expect("the body can be used");
    shape(&event, None, options, &Names::default())
}

fn call(body: &Value, options: &Options) -> Call {
    match shaped(body, options) {
        Shaped::Call(call) => call,
        other => panic!("{body} became {other:?}"),
    }
}

fn properties(body: &Value, options: &Options) -> Value {
    let json: Value = serde_json::from_str(&call(body, options).json).expect("JSON");
    json["properties"].clone()
}

/// An event about a message to person 42.
fn event(object_type: &str, metric: &str, more: Value) -> Value {
    let mut body = json!({
        "event_id": "01E4C8BES5XT87ZWRJFTB35YJ3",
        "object_type": object_type,
        "metric": metric,
        "data": {"identifiers": {"id": "42"}, "delivery_id": "RPIL"},
    });
    let (Some(data), Value::Object(more)) = (body["data"].as_object_mut(), more) else {
        panic!("only an object adds members");
    };
    data.extend(more);
    body
}

fn first_per(per: FirstPer) -> Options {
    Options {
        send_frequency: SendFrequency::First(per),
        ..Options::default()
    }
}

#[test]
fn the_defaults_are_those_of_the_hosted_integration() {
    let options = Options::default();
    assert_eq!(options.payload_version, PayloadVersion::V2);
    assert_eq!(options.send_frequency, SendFrequency::Every);
    assert!(options.empty_user_id);
    assert!(!options.body_content && !options.send_back && !options.customer_id && !options.names);
}

#[test]
fn a_test_event_is_skipped() {
    let skipped = shaped(&json!({"hello": "world"}), &Options::default());
    assert_eq!(skipped, Shaped::Skip(Skip::TestEvent));
}

#[test]
fn an_event_about_nobody_is_buried() {
    let body =
        json!({"object_type": "sms", "metric": "sent", "data": {"recipient": "+18008675309"}});
    let Shaped::Bury(burial) = shaped(&body, &Options::default()) else {
        panic!("it was not buried");
    };
    assert_eq!(burial, Burial::NoPerson);
    assert!(burial.to_string().starts_with("no person"));
}

#[test]
fn version_1_has_no_channel_but_email() {
    let options = Options {
        payload_version: PayloadVersion::V1,
        ..Options::default()
    };
    let Shaped::Skip(skip) = shaped(&event("sms", "sent", json!({})), &options) else {
        panic!("it was not skipped");
    };
    assert_eq!(
        skip.to_string(),
        "sms_sent is not in payload version 1.0.0, which has email only"
    );
    assert_eq!(
        call(&event("email", "sent", json!({})), &options).name,
        "Email Sent"
    );
}

#[test]
fn version_1_prefers_the_subject_over_an_older_one() {
    let options = Options {
        payload_version: PayloadVersion::V1,
        ..Options::default()
    };
    let body = event(
        "email",
        "opened",
        json!({"email_subject": "old", "subject": "new"}),
    );
    assert_eq!(properties(&body, &options)["email_subject"], "new");
    let body = event(
        "email",
        "opened",
        json!({"email_subject": "old", "subject": null}),
    );
    assert_eq!(properties(&body, &options)["email_subject"], "old");
}

#[test]
fn payload_versions_are_read_as_they_are_written() {
    for version in [PayloadVersion::V1, PayloadVersion::V2] {
        assert_eq!(version.to_string().parse(), Ok(version));
    }
    let unknown = "3.0.0"
        .parse::<PayloadVersion>()
        .expect_err("there is no such version");
    assert_eq!(
        unknown.to_string(),
        "\"3.0.0\" is no payload version: there are 1.0.0 and 2.0.0"
    );
}

#[test]
fn content_is_passed_on_by_channel_metric_and_option() {
    let on = Options {
        body_content: true,
        ..Options::default()
    };
    let off = Options::default();
    let (body, null, absent) = (Some(json!("text")), Some(Value::Null), None);
    for (object_type, metric, options, expected) in [
        ("email", "sent", &on, &body),
        ("email", "sent", &off, &null),
        ("email", "opened", &on, &null),
        ("sms", "sent", &on, &body),
        ("sms", "replied", &on, &null),
        ("whatsapp", "sent", &off, &null),
        ("push", "sent", &on, &body),
        ("push", "sent", &off, &absent),
        ("push", "opened", &on, &absent),
        ("slack", "sent", &on, &body),
        ("webhook", "failed", &on, &absent),
        ("in_app", "sent", &off, &absent),
        ("line", "sent", &on, &body),
        ("line", "sent", &off, &absent),
        ("push", "cio_subscription_preferences_changed", &off, &body),
    ] {
        let body = event(object_type, metric, json!({"content": "text"}));
        assert_eq!(
            properties(&body, options).get("content"),
            expected.as_ref(),
            "{object_type} {metric}"
        );
    }
}

#[test]
fn content_that_the_event_lacks_is_null_or_absent_by_channel() {
    let on = Options {
        body_content: true,
        ..Options::default()
    };
    for (body, expected) in [
        (event("email", "sent", json!({})), Some(Value::Null)),
        (
            event("email", "sent", json!({"content": null})),
            Some(Value::Null),
        ),
        (event("email", "sent", json!({"delivery_id": null})), None),
        (event("push", "sent", json!({"content": null})), None),
        (
            event("email", "cio_subscription_preferences_changed", json!({})),
            None,
        ),
    ] {
        assert_eq!(
            properties(&body, &on).get("content"),
            expected.as_ref(),
            "{body}"
        );
    }
}

#[test]
fn headers_are_passed_on_with_the_body_only() {
    let on = Options {
        body_content: true,
        ..Options::default()
    };
    let headers = json!({"X-Campaign": ["spring"]});
    for (metric, options, expected) in [
        ("sent", &on, Some(&headers)),
        ("sent", &Options::default(), None),
        ("opened", &on, None),
    ] {
        let body = event("email", metric, json!({"headers": headers}));
        assert_eq!(
            properties(&body, options).get("headers"),
            expected,
            "{metric}"
        );
    }
}

#[test]
fn topics_are_parsed_where_they_are_an_object() {
    for (content, topics) in [
        (
            json!("{\"topics\": {\"topic_1\": true}}"),
            Some(json!({"topic_1": true})),
        ),
        (
            json!({"topics": {"topic_1": true}}),
            Some(json!({"topic_1": true})),
        ),
        (json!("{\"topics\": [1]}"), None),
        (json!("{\"channels\": {}}"), None),
        (json!("not JSON"), None),
        (json!(7), None),
    ] {
        let body = event(
            "customer",
            "cio_subscription_preferences_changed",
            json!({"content": content}),
        );
        let properties = properties(&body, &Options::default());
        assert_eq!(
            (&properties["content"], properties.get("topics")),
            (&content, topics.as_ref())
        );
    }
}

#[test]
fn fields_of_the_event_never_stand_in_for_ours() {
    let data = json!({
        "userId": "forged", "anonymousId": "forged", "content_truncated": true,
        "link": "forged", "href": "http://example.com/", "email_id": "forged", "action_name": "forged",
    });
    let properties = properties(&event("push", "clicked", data), &Options::default());
    let expected =
        json!({"delivery_id": "RPIL", "link": {"url": "http://example.com/"}, "userId": "42"});
    assert_eq!(properties, expected);
}

#[test]
fn a_link_has_what_the_event_says_of_it() {
    for (data, link) in [
        (
            json!({"link_id": 1, "href": "x"}),
            Some(json!({"id": 1, "url": "x"})),
        ),
        (
            json!({"link_id": "one", "href": ""}),
            Some(json!({"id": "one"})),
        ),
        (
            json!({"link_id": null, "href": "x"}),
            Some(json!({"url": "x"})),
        ),
        (json!({"link_id": null, "href": ""}), None),
        (
            json!({"link": {"id": 1, "url": null}}),
            Some(json!({"id": 1})),
        ),
    ] {
        let properties = properties(&event("push", "clicked", data), &Options::default());
        assert_eq!(properties.get("link"), link.as_ref());
    }
}

#[test]
fn left_out_properties_are_gone_whoever_says_them() {
    let left_out = ["userId", "subject", "link", "content"]
        .map(str::to_owned)
        .into();
    let options = Options {
        left_out,
        ..Options::default()
    };
    let body = event(
        "email",
        "clicked",
        json!({"subject": "hello", "href": "x", "machine": false}),
    );
    assert_eq!(
        properties(&body, &options),
        json!({"delivery_id": "RPIL", "machine": false})
    );
}

#[test]
fn the_message_id_tells_connections_events_and_versions_apart() {
    let body = event("email", "opened", json!({}));
    let id = |connection: &str, version| {
        let options = Options {
            connection_id: connection.to_owned(),
            payload_version: version,
            ..Options::default()
        };
        call(&body, &options).message_id
    };
    assert_eq!(
        id("con_1", PayloadVersion::V2),
        "pm-2rj35mk3mxdfxhilg7isyle6ql"
    );
    assert_eq!(
        id("con_1", PayloadVersion::V1),
        "pm-tmldygx3x7wipmzim4mvd4hnb3"
    );
    assert_ne!(
        id("con_2", PayloadVersion::V2),
        id("con_1", PayloadVersion::V2)
    );
    let text = body.to_string();
    let key = Event::parse(text.as_bytes())
        .expect("the body can be used")
        .key();
    assert_eq!(
        id("con_1", PayloadVersion::V2),
        message_id("con_1", &key, PayloadVersion::V2)
    );
}

#[test]
fn the_parts_of_a_message_id_cannot_run_into_each_other() {
    let event_id = |id: &str| {
        let body = format!(r#"{{"event_id":"{id}"}}"#);
        Event::parse(body.as_bytes())
            .expect("the body can be used")
            .key()
    };
    assert_ne!(
        message_id("a", &event_id("bc"), PayloadVersion::V2),
        message_id("ab", &event_id("c"), PayloadVersion::V2)
    );
}

#[test]
fn only_first_only_connections_name_the_occurrence() {
    let body = event(
        "email",
        "clicked",
        json!({"link_id": 1, "href": "http://example.com/"}),
    );
    let occurrence = |options: &Options| {
        call(&body, options)
            .occurrence
            .as_ref()
            .map(Occurrence::to_string)
    };
    assert_eq!(occurrence(&Options::default()), None);
    assert_eq!(
        occurrence(&first_per(FirstPer::DeliveryAndName)).as_deref(),
        Some(r#"["RPIL","Email Link Clicked"]"#)
    );
    assert_eq!(
        occurrence(&first_per(FirstPer::DeliveryNameAndLink)).as_deref(),
        Some(r#"["RPIL","Email Link Clicked",1]"#)
    );
}

#[test]
fn an_occurrence_without_a_link_id_goes_by_its_url_or_by_none() {
    let options = first_per(FirstPer::DeliveryNameAndLink);
    for (data, occurrence) in [
        (
            json!({"href": "http://example.com/"}),
            r#"["RPIL","Push Link Clicked","http://example.com/"]"#,
        ),
        (json!({}), r#"["RPIL","Push Link Clicked"]"#),
    ] {
        let call = call(&event("push", "clicked", data), &options);
        assert_eq!(
            call.occurrence.as_ref().map(Occurrence::as_str),
            Some(occurrence)
        );
    }
}

#[test]
fn an_occurrence_survives_a_rename_and_needs_a_delivery() {
    let renames = [("email_opened".to_owned(), "Seen".to_owned())]
        .into_iter()
        .collect();
    let options = Options {
        renames,
        ..first_per(FirstPer::DeliveryAndName)
    };
    let renamed = call(&event("email", "opened", json!({})), &options);
    assert_eq!(renamed.name, "Seen");
    assert_eq!(
        renamed.occurrence.as_ref().map(Occurrence::as_str),
        Some(r#"["RPIL","Email Opened"]"#)
    );
    let without_delivery = call(
        &event("email", "opened", json!({"delivery_id": null})),
        &options,
    );
    assert_eq!(without_delivery.occurrence, None);
}

#[test]
fn a_call_without_any_time_has_none() {
    let call = call(&event("push", "sent", json!({})), &Options::default());
    let json: Value = serde_json::from_str(&call.json).expect("JSON");
    assert_eq!(json.get("timestamp"), None);
    assert_eq!(json.get("sentAt"), None);
}
