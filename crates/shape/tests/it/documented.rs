//! The six payloads that the hosted integration's documentation prints.
//!
//! Each `golden/documented_*/segment.json` is the printed payload, without its comments.

use jiff::Timestamp;
use serde_json::{Map, Value};
use shape::Shaped;

use crate::cases::Case;

#[test]
fn the_documented_payloads_come_out_with_their_keys_nesting_types_and_values() {
    let documented: Vec<(Case, String)> = Case::all()
        .into_iter()
        .filter_map(|case| case.file("segment.json").map(|segment| (case, segment)))
        .collect();
    assert_eq!(documented.len(), 6);
    for (case, segment) in documented {
        let Shaped::Call(call) = case.shaped() else {
            panic!("{} became {:?}", case.name, case.shaped());
        };
        let mut ours = object(&call.json);
        let mut theirs = object(&segment);
        assert_eq!(
            time(&mut ours, "timestamp"),
            time(&mut theirs, "originalTimestamp"),
            "{}",
            case.name
        );
        // Segment gives an id where the hosted integration sent none; we send our own.
        assert!(ours.remove("messageId").is_some() && theirs.remove("messageId").is_some());
        drop_what_segment_added(&mut theirs);
        mend_known_slips(&mut theirs);
        assert_eq!(ours, theirs, "{}", case.name);
    }
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).expect("an object")
}

fn time(call: &mut Map<String, Value>, key: &str) -> Timestamp {
    let time = call.remove(key).expect("a time");
    time.as_str().expect("text").parse().expect("RFC 3339")
}

fn drop_what_segment_added(call: &mut Map<String, Value>) {
    for key in ["receivedAt", "sentAt", "timestamp", "writeKey"] {
        assert!(call.remove(key).is_some(), "{key}");
    }
    let context = call
        .get_mut("context")
        .and_then(Value::as_object_mut)
        .expect("a context");
    assert!(context.remove("library").is_some());
}

/// The samples were edited by hand: one person has two ids in some of them, and
/// *SMS Sent* has an `anonymousId` although its person has an id.
fn mend_known_slips(call: &mut Map<String, Value>) {
    let user_id = call.get("userId").expect("a user id").clone();
    let properties = call
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .expect("properties");
    let repeated = properties.insert("userId".to_owned(), user_id);
    assert!(repeated.is_some_and(|repeated| repeated.is_string()));
    properties.remove("anonymousId");
}
