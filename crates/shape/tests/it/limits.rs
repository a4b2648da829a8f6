//! Segment's 32 KB, and what is given up for them.

use serde_json::{Value, json};
use shape::{Burial, Call, Content, Event, MAX_CALL_BYTES, Names, Options, Shaped, shape};

/// An *Email Sent* whose body is `content`, a JSON value in text.
fn sent_with(content: &str) -> String {
    format!(
        r#"{{"object_type":"email","metric":"sent","event_id":"1","data":{{"identifiers":{{"id":"42"}},"delivery_id":"RPIL","content":{content},"subject":"last"}}}}"#
    )
}

fn shaped(body: &str, options: &Options) -> Shaped {
    let event = Event::parse(body.as_bytes()).expect("the body can be used");
    shape(&event, None, options, &Names::default())
}

fn with_body_content() -> Options {
    Options {
        body_content: true,
        ..Options::default()
    }
}

fn sent(content: &str) -> Call {
    match shaped(&sent_with(content), &with_body_content()) {
        Shaped::Call(call) => call,
        other => panic!("became {other:?}"),
    }
}

/// The bytes of a call around its content.
fn frame_bytes() -> usize {
    sent("\"\"").json.len()
}

fn properties(call: &Call) -> Value {
    let json: Value = serde_json::from_str(&call.json).expect("JSON");
    json["properties"].clone()
}

#[test]
fn a_call_of_exactly_the_limit_is_whole() {
    let room = MAX_CALL_BYTES - frame_bytes();
    let call = sent(&json!("x".repeat(room)).to_string());
    assert_eq!(
        (call.json.len(), call.content),
        (MAX_CALL_BYTES, Content::Whole)
    );
    assert_eq!(properties(&call).get("content_truncated"), None);
}

#[test]
fn one_byte_more_is_cut_and_said_so() {
    let room = MAX_CALL_BYTES - frame_bytes();
    let content = "x".repeat(room + 1);
    let call = sent(&json!(content).to_string());
    assert_eq!(
        (call.json.len(), call.content),
        (MAX_CALL_BYTES, Content::Truncated)
    );
    let properties = properties(&call);
    assert_eq!(properties["content_truncated"], true);
    assert_eq!(properties["subject"], "last");
    assert!(content.starts_with(properties["content"].as_str().expect("text")));
}

#[test]
fn content_is_cut_between_characters_and_never_within_an_escape() {
    for character in [r"\n", r"\u00e9", r"\ud83d\ude00", "é", "😀", r"\ud800"] {
        for shift in 0..12 {
            let content = format!(
                "\"{}{}\"",
                "x".repeat(shift),
                character.repeat(MAX_CALL_BYTES / 2)
            );
            let call = sent(&content);
            assert_eq!(call.content, Content::Truncated);
            let whole_characters = call.json.matches(character).count() * character.len();
            let frame = frame_bytes() + ",\"content_truncated\":true".len() + shift;
            assert_eq!(
                call.json.len(),
                frame + whole_characters,
                "{character} {shift}"
            );
            let spare = MAX_CALL_BYTES - call.json.len();
            assert!(
                spare < character.len(),
                "{character} {shift}: {spare} bytes were wasted"
            );
        }
    }
}

#[test]
fn a_call_without_room_for_any_content_keeps_an_empty_one() {
    let fixed = frame_bytes() + ",\"content_truncated\":true,\"padding\":\"\"".len();
    let body = |padding: usize| {
        let content = format!(
            "\"{}\",\"padding\":\"{}\"",
            "x".repeat(1000),
            "y".repeat(padding)
        );
        shaped(&sent_with(&content), &with_body_content())
    };
    let Shaped::Call(call) = body(MAX_CALL_BYTES - fixed) else {
        panic!("it fits without its content");
    };
    assert_eq!(call.json.len(), MAX_CALL_BYTES);
    assert_eq!(properties(&call)["content"], "");
    let bytes = MAX_CALL_BYTES + 1;
    assert_eq!(
        body(MAX_CALL_BYTES - fixed + 1),
        Shaped::Bury(Burial::TooLarge { bytes })
    );
}

#[test]
fn what_cannot_be_cut_is_buried_with_its_size() {
    let list = json!(vec!["x"; MAX_CALL_BYTES]).to_string();
    let Shaped::Bury(burial) = shaped(&sent_with(&list), &with_body_content()) else {
        panic!("it was not buried");
    };
    let Burial::TooLarge { bytes } = burial else {
        panic!("it was buried for another reason: {burial}");
    };
    assert_eq!(bytes, frame_bytes() + list.len() - "\"\"".len());
    assert_eq!(
        burial.to_string(),
        format!("too large: {bytes} bytes without its content, and Segment takes 32000")
    );
}

#[test]
fn large_content_that_is_not_passed_on_does_not_count() {
    let content = json!("x".repeat(1_000_000)).to_string();
    let Shaped::Call(call) = shaped(&sent_with(&content), &Options::default()) else {
        panic!("it was not sent");
    };
    assert_eq!(
        (call.content, &properties(&call)["content"]),
        (Content::Whole, &Value::Null)
    );
}

#[test]
fn many_repeated_keys_are_one_property() {
    let members: Vec<String> = (0..100_000)
        .map(|n| format!("\"k{}\":{n},", n % 100))
        .collect();
    let members = members.concat();
    let body = format!(
        r#"{{"object_type":"push","metric":"sent","data":{{{members}"identifiers":{{"id":"42"}}}}}}"#
    );
    let Shaped::Call(call) = shaped(&body, &Options::default()) else {
        panic!("it was not sent");
    };
    let properties = properties(&call);
    assert_eq!(properties.as_object().map(serde_json::Map::len), Some(101));
    assert_eq!(properties["k7"], 99_907);
}
